"""Signatures by `ssh-keygen -Y`: with the keys that staff already have, agents and security keys included."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.certificate import ssh_armor
from dgxcert.certificate.ssh_armor import Armor
from dgxcert.outcome import CannotStart, DgxcertError

PROGRAM = "ssh-keygen"
ANSWER_S = 30.0
SUFFIX = ".sig"

INSTALL = "Install OpenSSH 8.2 or newer: sudo apt install openssh-client"


class Refused(DgxcertError):  # noqa: N818 (reads as `raise Refused`)
    """A signed file is not valid; `problem` says why, `remedy` what to do."""


@dataclass(frozen=True)
class Signer:
    """Who signed, as the list of allowed signers calls him, and by which key."""

    principal: str
    fingerprint: str


def sign(path: Path, key: Path, namespace: str, say: Callable[[str], None]) -> Path:
    """Sign a file's exact bytes and return the signature's path. The user may be asked for a passphrase or a touch.

    Raises CannotStart where there is no ssh-keygen, no such key, or where it does not sign.
    """
    if not key.exists():
        raise CannotStart(
            f"There is no key {key}.",
            "Name your private key, or the public one of a key that your agent holds: --key ~/.ssh/id_ed25519.pub",
        )
    signed = path.with_name(path.name + SUFFIX)
    asking = [PROGRAM, "-Y", "sign", "-f", str(key), "-n", namespace, str(path)]
    try:
        done = command.foreground(asking, say)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found.", INSTALL) from error
    if done.returncode != 0 or not signed.exists():
        raise CannotStart(f"Nothing was signed: {_why(done.stderr)}.", _remedy(done.stderr, key))
    return signed


def _why(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("Signing file")]
    return lines[-1].rstrip(".") if lines else f"{PROGRAM} gave no reason"


def _remedy(output: str, key: Path) -> str:
    if "passphrase" in output:
        return "Type the key's passphrase, or load the key into an agent first: ssh-add"
    if "No private key" in output or "agent" in output:
        return f"Load it into your agent (ssh-add), or name the private key instead of {key}."
    if "bad permissions" in output.lower() or "too open" in output:
        return f"Make the key yours alone: chmod 600 {key}"
    return f"See that this signs: {PROGRAM} -Y sign -f {key} -n test /etc/hostname"


def verify(
    path: Path, content: bytes, allowed: Path, namespaces: tuple[str, ...], revoked: Path | None = None
) -> tuple[Signer, str]:
    """Who signed these exact bytes of a file, and for which of these namespaces.

    Raises Refused, each with its own reason, where the signature does not hold, and CannotStart where it could not be
    looked at: no ssh-keygen, no list of allowed signers.
    """
    signed = path.with_name(path.name + SUFFIX)
    found = _armor(signed)
    for name in (allowed, *([revoked] if revoked else [])):
        _must_be_readable(name)
    if found.namespace not in namespaces:
        raise Refused(
            f"it was signed for another purpose: namespace {found.namespace!r}, wanted {' or '.join(namespaces)}",
            "Ask for a signature by `dgxcert sign`.",
        )
    principal = _principal(signed, allowed, found)
    asking = ["-Y", "verify", "-f", str(allowed), "-I", principal, "-n", found.namespace, "-s", str(signed)]
    asked = _ask(asking, content)
    if asked.returncode != 0:
        raise Refused(*_refusal(asked.stderr, path, allowed, found))
    if revoked and _ask([*asking, "-r", str(revoked)], content).returncode != 0:  # it gives no reason of its own
        raise Refused(f"{revoked} revokes the key {found.fingerprint}", "Have the run signed by another key.")
    return Signer(principal, found.fingerprint), found.namespace


def _armor(path: Path) -> Armor:
    try:
        return ssh_armor.parse(path.read_bytes().decode("ascii"))
    except FileNotFoundError as error:
        raise Refused(f"there is no signature {path}", "Keep both files together; sign it: dgxcert sign RUN") from error
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error
    except ValueError as error:
        why = "it is no text" if isinstance(error, UnicodeDecodeError) else error
        raise Refused(
            f"the signature {path} was changed: {why}", "Get the file anew from whoever signed it."
        ) from error


def _must_be_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Name a file that is there.") from error


def _principal(signed: Path, allowed: Path, found: Armor) -> str:
    """What the list calls the owner of the key."""
    asked = _ask(["-Y", "find-principals", "-s", str(signed), "-f", str(allowed)])
    names = [name for line in asked.stdout.splitlines() for name in line.split(",") if name.strip()]
    if asked.returncode == 0 and names:
        return names[0].strip()
    if "expired" in asked.stderr or "not yet valid" in asked.stderr:
        raise Refused(
            f"the key {found.fingerprint} is in {allowed} for another time only: {_why(asked.stderr)}",
            "Ask whoever keeps that list.",
        )
    if broken := [line for line in asked.stderr.splitlines() if line.startswith(f"{allowed}:")]:
        raise CannotStart(
            f"{allowed} is no list of allowed signers: {broken[0]}.",
            "Each line is: NAME KEY-TYPE KEY, as in `ada@lab ssh-ed25519 AAAA...`; see man ssh-keygen.",
        )
    raise Refused(
        f"it was signed by a key that {allowed} does not list: {found.fingerprint}",
        "Only if you trust that key: add its line to the list.",
    )


def _refusal(output: str, path: Path, allowed: Path, found: Armor) -> tuple[str, str]:
    if "not permitted for use in signature namespace" in output:
        return (
            f"{allowed} does not let this key sign for {found.namespace!r}",
            "Ask whoever keeps that list for the namespace.",
        )
    if "incorrect signature" in output or "Signature verification failed" in output:
        return f"{path} is not what was signed, or its signature was changed", "Get both files anew from the signer."
    return f"{PROGRAM} does not take it: {_why(output)}", "Get both files anew from the signer."


def _ask(arguments: list[str], content: bytes = b"") -> command.Completed:
    try:
        return command.fed([PROGRAM, *arguments], content, timeout_s=ANSWER_S)
    except FileNotFoundError as error:
        raise CannotStart(f"{PROGRAM} was not found, so nothing was verified.", INSTALL) from error
