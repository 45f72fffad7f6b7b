"""Revoked keys: a list of public keys, or a key revocation list (KRL), as ssh-keygen(1) describes both.

A file that cannot be read for what it is revokes nothing and permits nothing: the check could not be made.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from dgxcert.certificate import bounds
from dgxcert.certificate.ssh import key as keys
from dgxcert.certificate.ssh.key import Key
from dgxcert.outcome import CannotStart

MAGIC = b"SSHKRL\n\0"
SPECIFICATION = re.compile(r"(?:serial|id|key|sha1|sha256|hash)\s*:\s", re.I)
KEY = re.compile(r"(?P<type>(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+)[ \t]+(?P<key>[A-Za-z0-9+/=]+)(?:[ \t].*)?")
LIST = "Give a public key on each line, as in id_ed25519.pub, or a list that ssh-keygen -k has made."


def is_krl(content: bytes) -> bool:
    """Whether this is a key revocation list, which only ssh-keygen reads.

    >>> is_krl(b"SSHKRL\\n\\0\\0\\0\\0\\1"), is_krl(b"ssh-ed25519 AAAA")
    (True, False)
    """
    return content.startswith(MAGIC)


def lists(content: bytes, key: Key, path: Path) -> bool:
    """Whether a list of public keys names a key, or the authority that has certified it.

    Raises CannotStart, which names the line, for a file that is no list of public keys.

    >>> key = keys.read("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ")
    >>> lists(b"# left\\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ eve", key,
    ...       Path("revoked"))
    True
    """
    if not content.strip():
        raise CannotStart(
            f"{path} is empty, as a file is whose writing failed: it was not used.",
            "Leave out --revoked, or write a comment into a list that revokes nothing: # none",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotStart(f"{path} is neither text in UTF-8 nor a key revocation list.", LIST) from error
    named = {key.plain, key.blob, *([key.certified.authority] if key.certified else [])}
    # All lines are read before any counts: a list that breaks off must not be used for what is left of it.
    return bool(named & {each.plain for each in _keys(text, path)})


def _keys(text: str, path: Path) -> Iterator[Key]:
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip(" \t\r")
        if not bare or bare.startswith("#"):
            continue
        try:
            yield _key(bare)
        except ValueError as error:
            if SPECIFICATION.match(bare):
                raise CannotStart(
                    f"{path}, line {number} is one of a specification for a key revocation list.",
                    f"Make a list of it first: ssh-keygen -k -f revoked.krl -s CA.pub {path}",
                ) from error
            raise CannotStart(f"{path}, line {number} is not a public key: {error}.", LIST) from error


def _key(line: str) -> Key:
    if len(line) > bounds.LINE_CHARS:
        raise ValueError(f"it has {len(line)} characters, and at most {bounds.LINE_CHARS} are read")
    if line.startswith(("SHA256:", "MD5:")):
        raise ValueError("it is a fingerprint, and ssh-keygen reads keys here")
    match = KEY.fullmatch(line)
    if match is None:
        raise ValueError("it has no key")
    return keys.read(match["type"], match["key"])
