"""Reading files that somebody else may have made: never a link, a device or a FIFO, and never more than a limit."""

import os
import stat
from pathlib import Path

MIB = 1024**2

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
"""File types of stat(2) in words."""


class UnfitError(OSError):
    """A file that is not read, because of what it is; `strerror` says why, such as "it is a FIFO"."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(None, reason, str(path))
        self.strerror = reason

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def read_bytes(path: Path, at_most: int, *, follow: bool = False) -> bytes:
    """The content of a regular file of at most `at_most` bytes.

    A link is followed only with `follow`, for a path that the user has typed. Nothing is read before type and size are
    known, and opening never waits for another process.

    Raises UnfitError for a link, a folder, a FIFO, a socket, a device, and a larger file; OSError where the file is
    missing or may not be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.json"
    >>> _ = path.write_text("{}")
    >>> read_bytes(path, at_most=MIB)
    b'{}'
    >>> read_bytes(path, at_most=1)
    Traceback (most recent call last):
    dgxcert.files.untrusted.UnfitError: ...run.json: it has 2 bytes, and at most 1 are read
    """
    descriptor = _opened(path, follow=follow)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitError(path, f"it is {kind(status.st_mode)}, not a regular file")
        if status.st_size > at_most:
            raise UnfitError(path, f"it has {status.st_size} bytes, and at most {at_most} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(at_most + 1)
    finally:
        os.close(descriptor)
    if len(content) > at_most:  # it grows while it is read
        raise UnfitError(path, f"it has more than the {at_most} bytes that are read")
    return content


def read_text(path: Path, at_most: int, *, follow: bool = False) -> str:
    """The text of a UTF-8 file, as `read_bytes` reads it. Raises UnfitError where it is not UTF-8, too."""
    try:
        return read_bytes(path, at_most, follow=follow).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError(path, "it is not text in UTF-8") from error


def kind(mode: int) -> str:
    """What a mode of stat(2) says that a file is: "a FIFO"."""
    return KINDS.get(stat.S_IFMT(mode), "a regular file")


def _opened(path: Path, *, follow: bool) -> int:
    """A descriptor of a file. Raises UnfitError for what cannot be opened because of its type."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError:
        try:
            mode = os.stat(path, follow_symlinks=follow).st_mode
        except OSError:
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):
            raise UnfitError(path, f"it is {kind(mode)}, not a regular file") from None
        raise
