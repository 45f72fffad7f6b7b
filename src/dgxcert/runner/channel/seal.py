"""The seal: each message of a channel has a number and an HMAC by the child's own secret. Pure.

A process that does not know the secret can neither say anything nor repeat what was said: the number is part of what
is authenticated, and each side expects the next one.
"""

import hashlib
import hmac
import secrets

SECRET_BYTES = 32
LONGEST = 4 * 1024**2
"""Bytes of one line. The ending of a requirement with the traces of eight GPUs has a tenth of it."""
TO_SUPERVISOR, TO_CHILD = b"to supervisor", b"to child"


class Forged(Exception):  # noqa: N818 (reads as `raise Forged`)
    """A line that the other end has not said; the message says why."""


def new_secret() -> str:
    """A secret for one child.

    >>> len(new_secret())
    64
    """
    return secrets.token_hex(SECRET_BYTES)


class Seal:
    """One direction of a channel, at one of its ends.

    >>> mine, theirs = Seal("c0ffee", TO_SUPERVISOR), Seal("c0ffee", TO_SUPERVISOR)
    >>> theirs.opened(mine.sealed(b"started").rstrip())
    b'started'
    """

    def __init__(self, secret: str, direction: bytes) -> None:
        key = bytes.fromhex(secret)

        def code(number: int, message: bytes) -> bytes:
            content = b"%s %d %s" % (direction, number, message)
            return hmac.new(key, content, hashlib.sha256).hexdigest().encode()

        self._code = code  # keeps the key in no attribute
        self._number = 0

    def sealed(self, message: bytes) -> bytes:
        """The line that says a message, which must contain no line break."""
        self._number += 1
        return self._line(self._number, message) + b"\n"

    def opened(self, line: bytes) -> bytes:
        """The message of a line. Raises Forged where it is not the next one that the other end has sealed.

        >>> Seal("c0ffee", TO_CHILD).opened(b"1 00 started")
        Traceback (most recent call last):
        dgxcert.runner.channel.seal.Forged: it was not said with the secret of this child
        """
        number, _, rest = line.partition(b" ")
        message = rest.partition(b" ")[2]
        if not number.isdigit() or len(number) > len(str(LONGEST)):
            raise Forged("it is no message")
        if not hmac.compare_digest(line, self._line(int(number), message)):  # all of it: one message, one spelling
            raise Forged("it was not said with the secret of this child")
        if int(number) != self._number + 1:
            raise Forged(f"it is message {int(number)}, and {self._number + 1} was to come")
        self._number += 1
        return message

    def _line(self, number: int, message: bytes) -> bytes:
        return b"%d %s %s" % (number, self._code(number, message), message)
