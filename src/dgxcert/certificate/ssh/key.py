"""A public key of SSH: its type, its strength, and for an SSH certificate who has certified it for whom. Pure.

The formats are those of RFC 4253, RFC 5656 and OpenSSH's PROTOCOL.certkeys and PROTOCOL.u2f.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from dgxcert.certificate import bounds
from dgxcert.certificate.ssh.wire import Reader, string, strings

CERTIFIED = "-cert-v01@openssh.com"
FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""The types of key that may sign, and how many fields follow the type."""
SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Where a signature's type is not that of its key: RSA with SHA-1 is called as the key is."""
SHORTEST_RSA = 2048
"""Bits: NIST SP 800-131A disallows shorter ones for signatures since 2014."""
ACCEPTED = "Sign with an Ed25519, ECDSA or security key, or one of RSA with 2048 bits or more: ssh-keygen -t ed25519"
USER, HOST = 1, 2
FOREVER = 2**64 - 1


@dataclass(frozen=True)
class Certified:
    """What an SSH certificate says of its key."""

    key_id: str
    serial: int
    kind: int
    principals: tuple[str, ...]
    valid_after: int
    """Seconds since 1970."""
    valid_before: int
    critical: tuple[str, ...]
    authority: bytes
    """The key of the authority that has certified it."""


@dataclass(frozen=True)
class Key:
    """A public key, as it is encoded, with its type."""

    blob: bytes
    type: str
    """Without what says that it is certified."""
    plain: bytes
    """The encoding of the key alone, without what certifies it."""
    bits: int | None = None
    """The length of an RSA key."""
    certified: Certified | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it: `SHA256:...`."""
        return fingerprint(self.plain)

    @property
    def weakness(self) -> str:
        """Why a signature by this key proves nothing; "" where it does."""
        if self.type not in FIELDS:
            return f"a key of type {self.type} signed it, which is not accepted"
        if self.bits is not None and self.bits < SHORTEST_RSA:
            return f"an RSA key of {self.bits} bits signed it, and at least {SHORTEST_RSA} are needed"
        return ""


def fingerprint(plain: bytes) -> str:
    """The fingerprint of an encoded key.

    >>> fingerprint(b"")
    'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU'
    """
    return f"SHA256:{base64.b64encode(hashlib.sha256(plain).digest()).decode('ascii').rstrip('=')}"


def parse(blob: bytes) -> Key:
    """Read an encoded public key. A type that is not known is read by its name alone, and has a weakness.

    >>> key = read("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ")
    >>> key.type, key.fingerprint, key.weakness
    ('ssh-ed25519', 'SHA256:UEFk1GfHQZf0CqKjygQR1D05auANuDz+h/z7q6qGMwo', '')

    Raises ValueError for what is truncated or has more fields than its type.
    """
    reader = Reader(blob)
    given = reader.text()
    kind = given.removesuffix(CERTIFIED)
    if given.endswith(CERTIFIED):
        # In the name of its certificate, a security key's type lost its @openssh.com.
        kind = f"{kind}@openssh.com" if kind.startswith("sk-") else kind
    if kind not in FIELDS:
        return Key(blob, given, blob)
    if given.endswith(CERTIFIED):
        reader.string()  # the nonce
    fields = [reader.string() for _ in range(FIELDS[kind])]
    plain = string(kind.encode("ascii")) + b"".join(string(field) for field in fields)
    certified = _certified(reader) if given.endswith(CERTIFIED) else None
    if reader.rest:
        raise ValueError("it has more than the fields of its type")
    bits = int.from_bytes(fields[1], "big").bit_length() if kind == "ssh-rsa" else None
    return Key(blob, kind, plain, bits, certified)


def read(kind: str, text: str) -> Key:
    """A key as a line of text gives it: its type and its base64. Raises ValueError where they are no key."""
    try:
        key = parse(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError(f"its key is not base64: {error}") from error
    if name(key) != kind:
        raise ValueError(f"its key is of type {name(key)}, not {kind}")
    return key


def name(key: Key) -> str:
    """The name of a key's type, as it begins a line of text."""
    return Reader(key.blob).text()


def encoded(key: Key) -> str:
    """A key in base64."""
    return base64.b64encode(key.blob).decode("ascii")


def _certified(reader: Reader) -> Certified:
    serial, kind = reader.uint64(), reader.uint32()
    key_id = reader.string().decode("utf-8", errors="replace")[: bounds.NAME_CHARS]
    principals = tuple(name.decode("utf-8", errors="replace") for name in strings(reader.string()))
    if len(principals) > bounds.PATTERNS:
        raise ValueError(f"it has {len(principals)} principals, and at most {bounds.PATTERNS} are read")
    valid_after, valid_before = reader.uint64(), reader.uint64()
    critical = tuple(name.decode("utf-8", errors="replace") for name in strings(reader.string())[::2])
    reader.string()  # extensions, which say what a login may do
    reader.string()  # reserved
    authority = reader.string()
    reader.string()  # the authority's signature, which ssh-keygen verifies
    return Certified(key_id, serial, kind, principals, valid_after, valid_before, critical, authority)


def day(seconds: int) -> str:
    """A time of an SSH certificate as people write it; "never" where it has none.

    >>> day(1_795_459_212), day(FOREVER)
    ('2026-11-23 18:40 UTC', 'never')
    """
    if seconds >= datetime(bounds.LAST_YEAR, 1, 1, tzinfo=UTC).timestamp():
        return "never"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
