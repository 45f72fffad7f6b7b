"""Signatures by `ssh-keygen -Y`, with the keys that people already have, including agents and security keys."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.certificate import ssh_armor
from dgxcert.certificate.ssh_armor import Armor
from dgxcert.outcome import CannotStart, DgxcertError

PROGRAM = "ssh-keygen"
TIMEOUT_S = 30.0
SUFFIX = ".sig"

INSTALL = "Install OpenSSH 8.2 or newer: sudo apt install openssh-client"


class Refused(DgxcertError):  # noqa: N818 (reads as `raise Refused`)
    """A signed file is not valid; `problem` says why, `remedy` what to do."""


@dataclass(frozen=True)
class Signer:
    """The principal in the allowed signers file, and the fingerprint of the key."""

    principal: str
    fingerprint: str


def sign(path: Path, key: Path, namespace: str, say: Callable[[str], None]) -> Path:
    """Sign the bytes of a file and return the path of the signature. ssh-keygen may ask for a passphrase or a touch.

    Raises CannotStart where ssh-keygen or the key is missing, or where it does not sign.
    """
    if not key.exists():
        raise CannotStart(
            f"There is no key {key}.",
            "Name a private key, or the public key of one that your agent holds: --key ~/.ssh/id_ed25519.pub",
        )
    signed = path.with_name(path.name + SUFFIX)
    arguments = [PROGRAM, "-Y", "sign", "-f", str(key), "-n", namespace, str(path)]
    try:
        completed = command.foreground(arguments, say)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found.", INSTALL) from error
    if completed.returncode != 0 or not signed.exists():
        raise CannotStart(f"Nothing was signed: {_reason(completed.stderr)}.", _remedy(completed.stderr, key))
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
    path: Path, content: bytes, allowed: Path, namespaces: tuple[str, ...], revoked: Path | None = None
) -> tuple[Signer, str]:
    """The signer of these bytes of a file, and the namespace, which is one of `namespaces`.

    Raises Refused where the signature is not valid, each with its own reason, and CannotStart where it could not be
    checked: no ssh-keygen, no allowed signers file.
    """
    signed = path.with_name(path.name + SUFFIX)
    armor = _armor(signed)
    for name in (allowed, *([revoked] if revoked else [])):
        _require_readable(name)
    if armor.namespace not in namespaces:
        raise Refused(
            f"it was signed for another purpose: namespace {armor.namespace!r}, expected {' or '.join(namespaces)}",
            "Ask for a signature by `dgxcert sign`.",
        )
    principal = _principal(signed, allowed, armor)
    arguments = ["-Y", "verify", "-f", str(allowed), "-I", principal, "-n", armor.namespace, "-s", str(signed)]
    completed = _ssh_keygen(arguments, content)
    if completed.returncode != 0:
        raise Refused(*_refusal(completed.stderr, path, allowed, armor))
    # A second call: ssh-keygen prints no reason for a revoked key, so it has to be the only difference.
    if revoked and _ssh_keygen([*arguments, "-r", str(revoked)], content).returncode != 0:
        raise Refused(f"{revoked} revokes the key {armor.fingerprint}", "Have the run signed with another key.")
    return Signer(principal, armor.fingerprint), armor.namespace


def _armor(path: Path) -> Armor:
    try:
        return ssh_armor.parse(path.read_bytes().decode("ascii"))
    except FileNotFoundError as error:
        raise Refused(f"there is no signature {path}", "Keep both files together; sign it: dgxcert sign RUN") from error
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}") from error
    except ValueError as error:
        reason = "it is not ASCII" if isinstance(error, UnicodeDecodeError) else error
        raise Refused(f"the signature {path} was changed: {reason}", "Get the file from the signer again.") from error


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Name a readable file.") from error


def _principal(signed: Path, allowed: Path, armor: Armor) -> str:
    """The principal that the allowed signers file gives to the key."""
    completed = _ssh_keygen(["-Y", "find-principals", "-s", str(signed), "-f", str(allowed)])
    names = [name for line in completed.stdout.splitlines() for name in line.split(",") if name.strip()]
    if completed.returncode == 0 and names:
        return names[0].strip()
    if "expired" in completed.stderr or "not yet valid" in completed.stderr:
        raise Refused(
            f"the key {armor.fingerprint} is not valid at this time in {allowed}: {_reason(completed.stderr)}",
            "Ask the maintainer of that file.",
        )
    if broken := [line for line in completed.stderr.splitlines() if line.startswith(f"{allowed}:")]:
        raise CannotStart(
            f"{allowed} is not an allowed signers file: {broken[0]}.",
            "Write each line as PRINCIPAL KEY-TYPE KEY, such as `ada@lab ssh-ed25519 AAAA...`; see man ssh-keygen.",
        )
    raise Refused(
        f"it was signed by a key that {allowed} does not list: {armor.fingerprint}",
        "Only if you trust that key: add its line to the list.",
    )


def _refusal(output: str, path: Path, allowed: Path, armor: Armor) -> tuple[str, str]:
    """Problem and remedy for what `ssh-keygen -Y verify` printed."""
    if "not permitted for use in signature namespace" in output:
        return (
            f"{allowed} does not let this key sign for {armor.namespace!r}",
            "Ask the maintainer of that file to add the namespace.",
        )
    if "incorrect signature" in output or "Signature verification failed" in output:
        return f"{path} or its signature was changed after signing", "Get both files from the signer again."
    return f"{PROGRAM} rejects it: {_reason(output)}", "Get both files from the signer again."


def _ssh_keygen(arguments: list[str], content: bytes = b"") -> command.Completed:
    try:
        return command.fed([PROGRAM, *arguments], content, timeout_s=TIMEOUT_S)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found, so nothing was verified.", INSTALL) from error
