"""A folder by its handle: files in it are made and opened without ever following a link that somebody else put there.

A path is looked up each time it is used, so that whoever may write to one of its folders can exchange what it names. A
handle stays with its folder, and every name below is a single one: no slash, and not `..`.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dgxcert.files import untrusted

PRIVATE_FILE, PRIVATE_FOLDER = 0o640, 0o750
"""Modes of what is made: evidence is not for every user of the machine."""
DEEPEST = 64
"""Folders in each other that are still looked into."""
BLOCK = 4096

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """An open folder; use it in a `with` statement.

    >>> import tempfile
    >>> with Folder.opened(Path(tempfile.mkdtemp())) as logs:
    ...     with logs.create("container-1.log") as file:
    ...         _ = file.write(b"one line")
    ...     logs.read_bytes("container-1.log", at_most=1000)
    b'one line'
    """

    def __init__(self, handle: int, path: Path) -> None:
        """Take over a handle of a folder; `path` is where it was found, for messages."""
        self._handle = handle
        self.path = path

    @classmethod
    def opened(cls, path: Path, *, follow: bool = True) -> "Folder":
        """A folder by its path, whose last part may be a link only with `follow`: for a path that the user typed.

        Raises OSError where it is missing, is no folder, or is a link that is not followed.
        """
        return cls(os.open(path, _FOLDER & ~os.O_NOFOLLOW if follow else _FOLDER), path)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the handle back."""
        os.close(self._handle)

    def folder(self, name: str, *, make: bool = False) -> "Folder":
        """A folder in this one, which is no link; made with mode 0750 where it is missing and `make` is set."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(_single(name), PRIVATE_FOLDER, dir_fd=self._handle)
        return Folder(os.open(_single(name), _FOLDER, dir_fd=self._handle), self.path / name)

    def create(self, name: str) -> IO[bytes]:
        """A new file, open for writing. Raises FileExistsError where anything has that name, a dangling link too."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(_single(name), flags, PRIVATE_FILE, dir_fd=self._handle), "wb")

    def discard(self, name: str) -> None:
        """Remove a file or a link, which is not followed; nothing where nothing is. Raises OSError for a folder."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_single(name), dir_fd=self._handle)

    def append(self, name: str) -> IO[bytes]:
        """A file, made where it is missing, open for appending. Raises UnfitError for what is no regular file."""
        # O_NONBLOCK: opening a FIFO for writing would wait for a reader
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.fdopen(self._regular(name, flags), "ab")

    def entries(self) -> Iterator[tuple[str, os.stat_result]]:
        """Each name in this folder with its stat(2), that of a link itself. Raises OSError where it cannot be read."""
        with os.scandir(self._handle) as found:
            for entry in found:
                yield entry.name, entry.stat(follow_symlinks=False)

    def open(self, name: str) -> IO[bytes]:
        """A regular file, open for reading. Raises UnfitError for anything else, without waiting for it."""
        handle = self._regular(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(handle, "rb")

    def read_bytes(self, name: str, at_most: int) -> bytes:
        """The content of a regular file of at most `at_most` bytes. Raises UnfitError for anything else."""
        with self.open(name) as file:
            if (size := os.fstat(file.fileno()).st_size) > at_most:
                raise untrusted.UnfitError(self.path / name, f"it has {size} bytes, and at most {at_most} are read")
            content = file.read(at_most + 1)
        if len(content) > at_most:
            raise untrusted.UnfitError(self.path / name, f"it has more than the {at_most} bytes that are read")
        return content

    def _regular(self, name: str, flags: int) -> int:
        try:
            handle = os.open(_single(name), flags, PRIVATE_FILE, dir_fd=self._handle)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                self._require_regular(name, os.stat(name, dir_fd=self._handle, follow_symlinks=False))
            raise
        try:
            self._require_regular(name, os.fstat(handle))
        except untrusted.UnfitError:
            os.close(handle)
            raise
        return handle

    def _require_regular(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            kind = untrusted.kind(status.st_mode)
            raise untrusted.UnfitError(self.path / name, f"it is {kind}, not a regular file")

    def size_bytes(self, enough: int) -> int:
        """Bytes on the disk of all that is in this folder, counted only until they exceed `enough`.

        An entry counts as one block at least: a folder with very many empty ones is not looked through for long.
        """
        total = 0
        for blocks in self._blocks(DEEPEST):
            total += blocks
            if total > enough:
                break
        return total

    def _blocks(self, depth: int) -> Iterator[int]:
        with os.scandir(self._handle) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                    yield max(BLOCK, 512 * status.st_blocks)
                    if depth and stat.S_ISDIR(status.st_mode):
                        with self.folder(entry.name) as inner:
                            yield from inner._blocks(depth - 1)
                except OSError:
                    continue  # it changed meanwhile, or may not be read


def _single(name: str) -> str:
    """The name itself. Raises ValueError where it would lead to another folder."""
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise ValueError(f"{name!r} is not the name of one file")
    return name
