"""The armor of an SSH signature: what it says about itself. Pure; whether it is genuine only `ssh-keygen` tells.

The format is OpenSSH's PROTOCOL.sshsig. A file is taken only in the one spelling that ssh-keygen writes: its own reader
skips blanks and stray bits, so that a changed file would still be called good.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
MAGIC = b"SSHSIG"
WIDTH = 70


@dataclass(frozen=True)
class Armor:
    """Key and purpose that a signature names."""

    key: bytes
    namespace: str

    @property
    def fingerprint(self) -> str:
        """The key as people compare it: `SHA256:...`."""
        digest = base64.b64encode(hashlib.sha256(self.key).digest()).decode("ascii")
        return f"SHA256:{digest.rstrip('=')}"


def parse(text: str) -> Armor:
    """Read a signature; raises ValueError, saying why, for anything that ssh-keygen would not have written."""
    lines = text.split("\n")
    if lines[0] != BEGIN or lines[-2:] != [END, ""]:
        raise ValueError("it does not begin and end as an SSH signature does")
    try:
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from error
    if _written(blob) != text:
        raise ValueError("it is not spelled as ssh-keygen spells it")
    if blob[: len(MAGIC)] != MAGIC or blob[len(MAGIC) : len(MAGIC) + 4] != struct.pack(">I", 1):
        raise ValueError("it is no SSH signature of version 1")
    fields = _strings(blob[len(MAGIC) + 4 :])
    if len(fields) != 5:
        raise ValueError(f"it holds {len(fields)} fields, wanted 5")
    return Armor(fields[0], fields[1].decode("utf-8", errors="replace"))


def _written(blob: bytes) -> str:
    encoded = base64.b64encode(blob).decode("ascii")
    return "\n".join([BEGIN, *(encoded[at : at + WIDTH] for at in range(0, len(encoded), WIDTH)), END, ""])


def _strings(data: bytes) -> list[bytes]:
    """SSH's strings: each a length in four bytes, then so many bytes."""
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length or len(data) < 4:
            raise ValueError("it is cut short")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found
