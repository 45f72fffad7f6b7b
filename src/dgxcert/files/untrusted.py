"""Reading files that somebody else may have made: never a link, a device or a FIFO, and never more than a limit."""

import errno
import hashlib
import json
import math
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

MIB = 1024**2
LONGEST_INTEGER = 300
"""Digits: the largest float has 309."""
SHOWN = 40
CHUNK = MIB
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

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


def read_bytes(path: Path, at_most: int, *, follow: bool = False, below: Path | None = None) -> bytes:
    """The content of a regular file of at most `at_most` bytes.

    A link is followed only with `follow`, for a path that the user has typed. With `below`, a folder that contains the
    file, no link on the way from there is followed either. Nothing is read before type and size are known, and opening
    never waits for another process.

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
    return b"".join(_chunks(path, at_most, follow=follow, below=below))


def read_head(path: Path, count: int) -> bytes:
    """The first `count` bytes of a regular file of any size, or all of a shorter one. Raises as `read_bytes` does."""
    descriptor = _opened(path, follow=False)
    try:
        _require_regular(path, os.fstat(descriptor))
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def sha256(path: Path, at_most: int) -> str:
    """The SHA-256 of a file that `read_bytes` would read, in hexadecimal, without keeping the file in memory."""
    digest = hashlib.sha256()
    for chunk in _chunks(path, at_most):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path, at_most: int, *, follow: bool = False, below: Path | None = None) -> Iterator[bytes]:
    """The content of a regular file of at most `at_most` bytes, a part at a time."""
    descriptor = _opened(path, follow=follow) if below is None else _opened_below(path, below)
    try:
        status = os.fstat(descriptor)
        _require_regular(path, status)
        if status.st_size > at_most:
            raise UnfitError(path, f"it has {status.st_size} bytes, and at most {at_most} are read")
        left = at_most
        while chunk := os.read(descriptor, CHUNK):
            left -= len(chunk)
            if left < 0:  # it grows while it is read
                raise UnfitError(path, f"it has more than the {at_most} bytes that are read")
            yield chunk
    finally:
        os.close(descriptor)


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnfitError(path, f"it is {kind(status.st_mode)}, not a regular file")


def read_text(path: Path, at_most: int, *, follow: bool = False, below: Path | None = None) -> str:
    """The text of a UTF-8 file, as `read_bytes` reads it. Raises UnfitError where it is not UTF-8, too."""
    try:
        return read_bytes(path, at_most, follow=follow, below=below).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnfitError(path, "it is not text in UTF-8") from error


def read_json(path: Path, at_most: int, *, follow: bool = False, below: Path | None = None) -> Any:
    """The JSON of a file, as `read_bytes` reads it. Raises UnfitError where it is not what `parse_json` takes, too."""
    text = read_text(path, at_most, follow=follow, below=below)
    try:
        return parse_json(text)
    except ValueError as error:
        raise UnfitError(path, f"it is not valid JSON: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """JSON without what a float cannot hold, integers that take seconds to read, or nesting that Python cannot follow.

    Raises ValueError with the reason in one line.

    >>> parse_json('{"amount": 128}')
    {'amount': 128}
    >>> parse_json('{"amount": 1e400}')
    Traceback (most recent call last):
    ValueError: 1e400 is no finite number
    """
    try:
        return json.loads(text, parse_float=_finite, parse_int=_short, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """TOML, without nesting that Python cannot follow. Raises ValueError with the reason and its line, in one line.

    >>> parse_toml('profile = "h200"')
    {'profile': 'h200'}
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _no_number(number)


def _short(number: str) -> int:
    """An integer of a length that a float can hold; a longer one would overflow wherever it is divided."""
    return int(number) if len(number) <= LONGEST_INTEGER else _no_number(number)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:SHOWN]}{'…' if len(text) > SHOWN else ''} is no finite number")


def shown(text: str) -> str:
    r"""A name or text of somebody else's on one line: control characters and bytes that are no UTF-8 are escaped.

    >>> shown("run\x1b[2J\n")
    'run\\x1b[2J\\n'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def kind(mode: int) -> str:
    """What a mode of stat(2) says that a file is: "a FIFO"."""
    return KINDS.get(stat.S_IFMT(mode), "a regular file")


def _opened_below(path: Path, below: Path) -> int:
    """A descriptor of a file, reached from the folder `below` through folders alone."""
    *folders, name = path.relative_to(below).parts
    held = os.open(below, FOLDER)
    try:
        for folder in folders:
            try:
                inner = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=held)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise UnfitError(path, f"{folder} is no folder") from None
                raise
            os.close(held)
            held = inner
        return _opened(Path(name), follow=False, folder=held, whole=path)
    finally:
        os.close(held)


def _opened(path: Path, *, follow: bool, folder: int | None = None, whole: Path | None = None) -> int:
    """A descriptor of a file, of the open `folder` if there is one, where `whole` is the path that an error names.

    Raises UnfitError for what cannot be opened because of its type.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags if follow else flags | os.O_NOFOLLOW, dir_fd=folder)
    except ValueError as error:  # a null byte
        raise UnfitError(whole or path, "it is no name of a file") from error
    except OSError:
        try:
            mode = os.stat(path, follow_symlinks=follow, dir_fd=folder).st_mode
        except OSError:
            mode = stat.S_IFREG
        if not stat.S_ISREG(mode):
            raise UnfitError(whole or path, f"it is {kind(mode)}, not a regular file") from None
        raise
