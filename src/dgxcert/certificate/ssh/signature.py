"""Signatures by `ssh-keygen -Y`, with the keys that people already have, including agents and security keys."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dgxcert import command
from dgxcert.certificate import bounds
from dgxcert.certificate.refusal import BY_SIGN, FROM_THE_SIGNER, Refused
from dgxcert.certificate.ssh import allowed_signers, armor, revoked_keys
from dgxcert.certificate.ssh import key as keys
from dgxcert.certificate.ssh.allowed_signers import Line, Signers
from dgxcert.certificate.ssh.armor import Armor
from dgxcert.certificate.ssh.key import Key
from dgxcert.files import untrusted
from dgxcert.outcome import CannotStart

PROGRAM = "ssh-keygen"
TIMEOUT_S = 30.0
SUFFIX = ".sig"
SOMEBODY = "signer"
"""The principal under which ssh-keygen is asked about a line: which of a line's principals it is, no signature says."""

INSTALL = "Install OpenSSH 8.2 or newer: sudo apt install openssh-client"
MAINTAINER = "Ask the maintainer of that file."


@dataclass(frozen=True)
class Signer:
    """Who signed: the principals of the lines of the list that let the key sign, and the key's fingerprint."""

    principal: str
    fingerprint: str
    certified: str = ""
    """For an SSH certificate: its id, and the fingerprint of the authority that the list trusts."""
    listed: tuple[str, ...] = ()
    """Where several lines let the key sign for different principals: each line with its principals."""


def sign(path: Path, key: Path, namespace: str, say: Callable[[str], None]) -> Path:
    """Sign the bytes of a file and return the path of the signature. ssh-keygen may ask for a passphrase or a touch.

    Raises CannotStart where ssh-keygen or the key is missing, where it does not sign, or where `verify` would not
    accept the key.
    """
    try:
        key.stat()
    except FileNotFoundError as error:
        raise CannotStart(
            f"There is no key {key}.",
            "Name a private key, or the public key of one that your agent holds: --key ~/.ssh/id_ed25519.pub",
        ) from error
    signed = path.with_name(path.name + SUFFIX)
    arguments = [PROGRAM, "-Y", "sign", "-f", str(key), "-n", namespace, str(path)]
    try:
        completed = command.foreground(arguments, say)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found.", INSTALL) from error
    if completed.returncode != 0 or not signed.exists():
        raise CannotStart(f"Nothing was signed: {_reason(completed.stderr)}.", _remedy(completed.stderr, key))
    if weakness := armor.parse(signed.read_text(encoding="ascii")).weakness:
        raise CannotStart(f"Nothing was signed, since nobody could verify it: {weakness}.", keys.ACCEPTED)
    return signed


def _reason(output: str) -> str:
    """The last line of ssh-keygen's standard error, which is its reason.

    >>> _reason("Signing file certificate.json\\nCouldn't sign message: agent refused operation\\n")
    "Couldn't sign message: agent refused operation"
    """
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("Signing file")]
    return lines[-1].rstrip(".") if lines else f"{PROGRAM} gave no reason"


def _remedy(output: str, key: Path) -> str:
    if "passphrase" in output:
        return "Type the key's passphrase, or load the key into an agent first: ssh-add"
    if "No private key" in output or "agent" in output:
        return f"Load the key into your agent (ssh-add), or name the private key instead of {key}."
    if "bad permissions" in output.lower() or "too open" in output:
        return f"Restrict the key's permissions: chmod 600 {key}"
    return f"Try the key by hand: {PROGRAM} -Y sign -f {key} -n test FILE"


def verify(
    path: Path,
    content: bytes,
    allowed: Path,
    namespaces: Sequence[str],
    now: datetime,
    revoked: Path | None = None,
) -> tuple[Signer, str]:
    """The signer of these bytes of a file, and the namespace, which is one of `namespaces`.

    Signature, list and revoked keys are read once, and ssh-keygen is given what was read. Raises Refused where the
    signature is not valid, each with its own reason, and CannotStart where it could not be checked: no ssh-keygen, no
    list of signers, or one that cannot be read.
    """
    text, signature = _armor(path.with_name(path.name + SUFFIX))
    if signature.weakness:
        raise Refused(signature.weakness, keys.ACCEPTED)
    if signature.namespace not in namespaces:
        raise Refused(
            f"it was signed for another purpose: namespace {signature.namespace!r}, expected {' or '.join(namespaces)}",
            BY_SIGN,
        )
    signers = allowed_signers.read(_text(allowed))
    lines = _lines(signers, signature.key, allowed)
    refused_keys = _bytes(revoked, bounds.REVOKED_BYTES) if revoked else b""
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as temporary:
        asked = _Question(Path(temporary), text, signature, content, now)
        signer = asked.signer(path, lines, allowed)
        if revoked and asked.is_revoked(refused_keys, revoked):
            raise Refused(f"{revoked} revokes the key {signer.fingerprint}", "Have the run signed with another key.")
    return signer, signature.namespace


def _armor(path: Path) -> tuple[str, Armor]:
    try:
        text = untrusted.read_bytes(path, bounds.SIGNATURE_BYTES).decode("ascii")
        return text, armor.parse(text)
    except FileNotFoundError as error:
        raise Refused(f"there is no signature {path}", "Keep both files together; sign it: dgxcert sign RUN") from error
    except untrusted.UnfitError as error:
        raise Refused(f"the signature {path} was not read: {error.strerror}", FROM_THE_SIGNER) from error
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}") from error
    except ValueError as error:
        reason = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else error
        raise Refused(f"the signature {path} was changed: {reason}", "Get the file from the signer again.") from error


def _bytes(path: Path, at_most: int) -> bytes:
    """The content of a file that the user has named."""
    try:
        return untrusted.read_bytes(path, at_most, follow=True)
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Name a readable file.") from error


def _text(allowed: Path) -> str:
    try:
        return _bytes(allowed, bounds.SIGNERS_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CannotStart(f"{allowed} cannot be read: it is not text in UTF-8.", "Save it as UTF-8.") from error


def _lines(signers: Signers, key: Key, allowed: Path) -> list[Line]:
    """The lines of the list that are about a key. Raises Refused, CannotStart where there are none, or too many."""
    if lines := list(signers.of(key)):
        if len(lines) > bounds.LINES_OF_A_KEY:
            raise CannotStart(
                f"{allowed} lists the key {key.fingerprint} {len(lines)} times, and at most {bounds.LINES_OF_A_KEY} "
                "are read.",
                "Keep one line of it, with its principals separated by commas.",
            )
        return lines
    if broken := signers.unreadable:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        about = "is not an allowed signers file" if not signers.lines else f"does not list the key {key.fingerprint}"
        raise CannotStart(
            f"{allowed} {about}: line {broken[0].number}{more}: {broken[0].why}.",
            "Write each line as PRINCIPAL KEY-TYPE KEY, such as `ada@lab ssh-ed25519 AAAA...`; see man ssh-keygen.",
        )
    by = f", by its SSH certificate{_authority(key)}" if key.certified else ""
    near = f": {found}" if (found := signers.near(key)) else ""
    raise Refused(
        f"it was signed by a key that {allowed} does not list: {key.fingerprint}{by}{near}",
        "Only if you trust that key: add its line to the list.",
    )


def _authority(key: Key) -> str:
    if key.certified is None:
        return ""
    return f" of the authority {keys.fingerprint(key.certified.authority)}"


class _Question:
    """What ssh-keygen is asked about one signature, with copies of all files in a folder of its own."""

    def __init__(self, folder: Path, text: str, signature: Armor, content: bytes, now: datetime) -> None:
        self._signature = signature
        self._content = content
        self._now = now
        self._list = folder / "allowed_signers"
        self._signed = folder / "signature"
        self._revoked = folder / "revoked"
        self._key = folder / "key.pub"
        self._signed.write_text(text, encoding="ascii")

    def signer(self, path: Path, lines: Sequence[Line], allowed: Path) -> Signer:
        """Who signed. Raises Refused where no line lets the key sign, with the reason of the first."""
        key = self._signature.key
        if key.certified and (wrong := _unusable(key, self._now)):
            raise Refused(wrong, "Have the run signed with a valid SSH certificate, or with a key that is listed.")
        accepted: list[tuple[Line, str]] = []
        reasons = []
        for line in lines:
            principal, reason = self._ask(path, line)
            if reason:
                reasons.append(f"{reason} (line {line.number})")
            else:
                accepted.append((line, principal))
        if not accepted:
            raise Refused(f"{allowed} does not let the key {key.fingerprint} sign it: {reasons[0]}", MAINTAINER)
        who = list(dict.fromkeys(principal for _, principal in accepted))
        listed = tuple(f"line {line.number}: {principal}" for line, principal in accepted) if len(who) > 1 else ()
        certified = f"SSH certificate {key.certified.key_id!r}{_authority(key)}" if key.certified else ""
        return Signer(" or ".join(who), key.fingerprint, certified, listed)

    def _ask(self, path: Path, line: Line) -> tuple[str, str]:
        """For whom a line lets the key sign, or the reason why it does not."""
        certified, principal, who = self._signature.key.certified, SOMEBODY, line.who
        if certified:
            # ssh-keygen accepts any principal where the certificate names one that the line allows.
            usable = (each for each in certified.principals if allowed_signers.SAFE.fullmatch(each))
            principal = who = next((each for each in usable if line.allows(each)), "")
            if not principal:
                return "", f"its SSH certificate is for {', '.join(certified.principals)}, and it allows {line.who}"
        self._list.write_text(line.alone(principal), encoding="utf-8")
        completed = self._verify(principal)
        return who, "" if completed.returncode == 0 else self._reason(completed, path)

    def _verify(self, principal: str, *more: str) -> command.Completed:
        names = ["-I", principal, "-n", self._signature.namespace]
        files = ["-f", str(self._list), "-s", str(self._signed)]
        return _ssh_keygen(["-Y", "verify", *names, *files, *more], self._content)

    def _reason(self, completed: command.Completed, path: Path) -> str:
        """Why ssh-keygen does not let a line's key sign. Raises Refused where the signature itself is wrong."""
        output = completed.stderr
        if "incorrect signature" in output or "Signature verification failed" in output:
            raise Refused(f"{path} or its signature was changed after signing", "Get both files from the signer again.")
        if "not permitted for use in signature namespace" in output:
            return f"its namespaces are without {self._signature.namespace!r}"
        said = _reason(output).replace(f"{self._list}:1: ", "")
        if "expired" in output or "not yet valid" in output:
            return f"the key is not valid at this time: {said}"
        return said if output.strip() else f"{PROGRAM} accepts it as none of an allowed signer"

    def is_revoked(self, content: bytes, path: Path) -> bool:
        """Whether the key is revoked. Raises CannotStart where that cannot be told."""
        key = self._signature.key
        if not revoked_keys.is_krl(content):
            return revoked_keys.lists(content, key, path)
        self._revoked.write_bytes(content)
        self._key.write_text(f"{keys.name(key)} {keys.encoded(key)}\n", encoding="ascii")
        completed = _ssh_keygen(["-Q", "-f", str(self._revoked), str(self._key)])
        if completed.returncode == 0:
            return False
        if ": REVOKED" in completed.stdout:
            return True
        said = _reason(completed.stderr).replace(str(self._revoked), str(path))
        raise CannotStart(
            f"{path} is a damaged key revocation list: {said}.", "Get the list again, or make it: ssh-keygen -k"
        )


def _unusable(key: Key, now: datetime) -> str:
    """Why an SSH certificate does not let its key sign for anybody; "" where it does."""
    certified = key.certified
    if certified is None:
        return ""
    about = f"its SSH certificate {certified.key_id!r}"
    if certified.kind != keys.USER:
        return f"{about} is one for a host, not for a user"
    if not certified.principals:
        return f"{about} names no principal, so that it is for anybody"
    if certified.critical:
        return f"{about} restricts its use ({', '.join(certified.critical)}), which a signature cannot show"
    if now.timestamp() < certified.valid_after:
        return f"{about} is not valid before {keys.day(certified.valid_after)}"
    if now.timestamp() >= certified.valid_before:
        return f"{about} expired on {keys.day(certified.valid_before)}"
    try:
        weakness = keys.parse(certified.authority).weakness
    except ValueError as error:
        weakness = str(error)
    return f"the authority of {about} is not accepted: {weakness}" if weakness else ""


def _ssh_keygen(arguments: list[str], content: bytes = b"") -> command.Completed:
    try:
        completed = command.fed([PROGRAM, *arguments], content, timeout_s=TIMEOUT_S)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found, so nothing was verified.", INSTALL) from error
    if completed.timed_out:
        raise CannotStart(f"{PROGRAM} did not answer within {TIMEOUT_S:.0f} s.", "Try again.")
    return completed
