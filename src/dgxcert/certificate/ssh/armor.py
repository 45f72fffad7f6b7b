"""The armor of an SSH signature: the key and namespace it names. Pure; `ssh-keygen` verifies the signature itself.

The format is OpenSSH's PROTOCOL.sshsig.
"""

import base64
import binascii
from dataclasses import dataclass

from dgxcert.certificate.ssh import key as keys
from dgxcert.certificate.ssh.key import Key
from dgxcert.certificate.ssh.wire import Reader, strings

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
MAGIC = b"SSHSIG"
LINE_CHARS = 70
HASHES = ("sha512", "sha256")
TOUCHED = 1
"""Bit of a security key's flags: its user was present."""


@dataclass(frozen=True)
class Armor:
    """Key and namespace of a signature, and how it was made."""

    key: Key
    namespace: str
    hash: str
    type: str
    """The type of the signature, such as `rsa-sha2-512`."""
    touched: bool = True
    """Whether a security key was touched; True for other keys."""

    @property
    def weakness(self) -> str:
        """Why it proves nothing, whatever it signs; "" where it does."""
        if self.key.weakness:
            return self.key.weakness
        wanted = keys.SIGNATURES.get(self.key.type, (self.key.type,))
        if self.type not in wanted:
            sha1 = ", which is RSA with SHA-1" if self.type == "ssh-rsa" else ""
            return f"its signature is of type {self.type}{sha1}, not {' or '.join(wanted)}"
        if self.hash not in HASHES:
            return f"it was signed over a hash by {self.hash}, not {' or '.join(HASHES)}"
        return "" if self.touched else "nobody touched the security key that signed it"


def parse(text: str) -> Armor:
    """Read an armored signature.

    >>> armor = parse('''-----BEGIN SSH SIGNATURE-----
    ... U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgKWGHc279IjQJoHm9DN6ROWWIlM
    ... 4pdl8i2f7l6rtyAlcAAAATZGd4Y2VydC1jZXJ0aWZpY2F0ZQAAAAAAAAAGc2hhNTEyAAAA
    ... UwAAAAtzc2gtZWQyNTUxOQAAAEB8VxRyNlPNFGFrkTB4NZymCTrz4Te5ovaWZaIqgyA/ZO
    ... 0A7KhLtXqnFYbS29GfrFEtF/p5dhbRQs4zEufWfQYN
    ... -----END SSH SIGNATURE-----
    ... ''')
    >>> armor.namespace, armor.key.fingerprint
    ('dgxcert-certificate', 'SHA256:bTx8ahUMpBKzFZFxsRD69aG/fxQ05aT77hd6anpYwGQ')

    Raises ValueError for anything that ssh-keygen would not have written.
    """
    lines = text.split("\n")
    if problem := _framing(lines):
        raise ValueError(problem)
    try:
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from error
    # ssh-keygen itself skips blanks and stray bits of base64, so a changed file would still verify.
    if armored(blob) != text:
        raise ValueError("it is not formatted as ssh-keygen formats it")
    if blob[: len(MAGIC)] != MAGIC or blob[len(MAGIC) : len(MAGIC) + 4] != (1).to_bytes(4, "big"):
        raise ValueError("it is not an SSH signature of version 1")
    fields = strings(blob[len(MAGIC) + 4 :])
    if len(fields) != 5:
        raise ValueError(f"it has {len(fields)} fields, expected 5")
    key, namespace, reserved, hashed, signature = fields
    if reserved:  # ssh-keygen ignores it, and it is not signed
        raise ValueError("its reserved field is not empty")
    return _made(keys.parse(key), namespace, hashed, signature)


def armored(blob: bytes) -> str:
    """A signature as ssh-keygen writes it.

    >>> armored(b"SSHSIG").splitlines()[1]
    'U1NIU0lH'
    """
    encoded = base64.b64encode(blob).decode("ascii")
    return "\n".join([BEGIN, *(encoded[at : at + LINE_CHARS] for at in range(0, len(encoded), LINE_CHARS)), END, ""])


def _framing(lines: list[str]) -> str:
    """What is wrong with the lines around the base64; "" where nothing is."""
    begins, ends = lines.count(BEGIN), lines.count(END)
    if begins > 1 or ends > 1:
        return f"it holds {max(begins, ends)} signatures, and one is expected"
    if begins and not ends:
        return "it is cut short: its last line is missing"
    if begins and ends and (lines[0] != BEGIN or lines[-2:] != [END, ""]):
        return "it has text before or after the signature"
    return "" if begins and ends else "its first or last line is not that of an SSH signature"


def _made(key: Key, namespace: bytes, hashed: bytes, signature: bytes) -> Armor:
    reader = Reader(signature)
    kind = reader.text()
    reader.string()
    touched = True
    if key.type.startswith("sk-"):  # flags and counter follow: OpenSSH's PROTOCOL.u2f
        touched = len(reader.rest) == 5 and bool(reader.rest[0] & TOUCHED)
    elif reader.rest:
        raise ValueError("it has more than the fields of its type")
    return Armor(
        key,
        namespace.decode("utf-8", errors="replace"),
        hashed.decode("utf-8", errors="replace"),
        kind,
        touched,
    )
