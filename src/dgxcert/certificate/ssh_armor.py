"""The armor of an SSH signature: the key and namespace it names. Pure; `ssh-keygen` verifies the signature itself.

The format is OpenSSH's PROTOCOL.sshsig.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
MAGIC = b"SSHSIG"
LINE_CHARS = 70


@dataclass(frozen=True)
class Armor:
    """Key and namespace of a signature."""

    key: bytes
    namespace: str

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint as `ssh-keygen -l` prints it: `SHA256:...`."""
        digest = base64.b64encode(hashlib.sha256(self.key).digest()).decode("ascii")
        return f"SHA256:{digest.rstrip('=')}"


def parse(text: str) -> Armor:
    """Read an armored signature.

    >>> armor = parse('''-----BEGIN SSH SIGNATURE-----
    ... U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgKWGHc279IjQJoHm9DN6ROWWIlM
    ... 4pdl8i2f7l6rtyAlcAAAATZGd4Y2VydC1jZXJ0aWZpY2F0ZQAAAAAAAAAGc2hhNTEyAAAA
    ... UwAAAAtzc2gtZWQyNTUxOQAAAEB8VxRyNlPNFGFrkTB4NZymCTrz4Te5ovaWZaIqgyA/ZO
    ... 0A7KhLtXqnFYbS29GfrFEtF/p5dhbRQs4zEufWfQYN
    ... -----END SSH SIGNATURE-----
    ... ''')
    >>> armor.namespace, armor.fingerprint
    ('dgxcert-certificate', 'SHA256:bTx8ahUMpBKzFZFxsRD69aG/fxQ05aT77hd6anpYwGQ')

    Raises ValueError for anything that ssh-keygen would not have written.
    """
    lines = text.split("\n")
    if lines[0] != BEGIN or lines[-2:] != [END, ""]:
        raise ValueError("its first or last line is not that of an SSH signature")
    try:
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from error
    # ssh-keygen itself skips blanks and stray bits of base64, so a changed file would still verify.
    if _armored(blob) != text:
        raise ValueError("it is not formatted as ssh-keygen formats it")
    if blob[: len(MAGIC)] != MAGIC or blob[len(MAGIC) : len(MAGIC) + 4] != struct.pack(">I", 1):
        raise ValueError("it is not an SSH signature of version 1")
    fields = _strings(blob[len(MAGIC) + 4 :])
    if len(fields) != 5:
        raise ValueError(f"it has {len(fields)} fields, expected 5")
    return Armor(fields[0], fields[1].decode("utf-8", errors="replace"))


def _armored(blob: bytes) -> str:
    encoded = base64.b64encode(blob).decode("ascii")
    return "\n".join([BEGIN, *(encoded[at : at + LINE_CHARS] for at in range(0, len(encoded), LINE_CHARS)), END, ""])


def _strings(data: bytes) -> list[bytes]:
    """The fields in SSH's `string` encoding (RFC 4251): a length of four bytes, then so many bytes.

    >>> _strings(b"\\0\\0\\0\\4file\\0\\0\\0\\6sha512")
    [b'file', b'sha512']
    """
    strings = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length or len(data) < 4:
            raise ValueError("it is truncated")
        strings.append(data[4 : 4 + length])
        data = data[4 + length :]
    return strings
