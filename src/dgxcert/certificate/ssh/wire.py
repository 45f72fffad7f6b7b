"""SSH's wire format, RFC 4251: strings and numbers, read with limits. Pure."""

MOST_FIELDS = 1000


class Reader:
    """Reads one field after the other. Raises ValueError where the data ends within one.

    >>> reader = Reader(b"\\0\\0\\0\\4file\\0\\0\\0\\6")
    >>> reader.string(), reader.uint32(), reader.rest
    (b'file', 6, b'')
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def string(self) -> bytes:
        """A length of four bytes, then so many bytes."""
        return self._take(self.uint32())

    def text(self) -> str:
        """A string of printable ASCII, as names of keys and algorithms are."""
        value = self.string()
        if not (value.isascii() and value.decode("latin-1").isprintable()):
            raise ValueError("a name in it is not printable ASCII")
        return value.decode("ascii")

    def uint32(self) -> int:
        """A number of four bytes."""
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        """A number of eight bytes."""
        return int.from_bytes(self._take(8), "big")

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self._data[self._at :]

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError("it is truncated")
        self._at += size
        return self._data[self._at - size : self._at]


def strings(data: bytes) -> list[bytes]:
    """All strings in the data. Raises ValueError where it ends within one, or has more than MOST_FIELDS.

    >>> strings(b"\\0\\0\\0\\4file\\0\\0\\0\\6sha512")
    [b'file', b'sha512']
    """
    reader = Reader(data)
    found = []
    while reader.rest:
        found.append(reader.string())
        if len(found) > MOST_FIELDS:
            raise ValueError(f"it has more than {MOST_FIELDS} fields")
    return found


def string(value: bytes) -> bytes:
    """A string in its encoding.

    >>> string(b"file")
    b'\\x00\\x00\\x00\\x04file'
    """
    return len(value).to_bytes(4, "big") + value
