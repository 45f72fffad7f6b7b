"""Files appear whole or not at all: written under a temporary name, synced, then renamed, and the rename synced.

Whoever writes holds a lock on its temporary file, which the kernel releases when the process ends. So the next writer
in a folder can tell what a killed one left behind, and removes it.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from pathlib import Path

from dgxcert.files.cannot_write import CannotWrite

EVIDENCE = 0o640
"""The mode of files with evidence, from which the umask may take more: not for every user of the machine."""
SHARED = 0o644
"""The mode of files that other accounts are to read, such as a metrics collector."""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.new")
NO_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""What fsync(2) of a folder returns on file systems that have none."""


def write_text(path: Path, text: str, mode: int = EVIDENCE) -> None:
    """Write a file in one step. Raises CannotWrite where that fails, and leaves the existing file as it was.

    A link in the file's place is replaced, never followed.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_text(Path(folder) / "run.json", "{}")
    >>> os.listdir(folder)
    ['run.json']
    """
    write_bytes(path, text.encode("utf-8"), mode)


def write_bytes(path: Path, content: bytes, mode: int = EVIDENCE) -> None:
    """Write a file in one step, as `write_text` does."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _remove_left_behind(folder)
            _write(folder, path.name, content, mode)
        finally:
            os.close(folder)
    except OSError as error:
        raise CannotWrite(path, error) from error


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    temporary, file = _temporary(folder, name, mode)
    try:
        with os.fdopen(file, "wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(file)  # before the rename: a power cut must not leave a new name with no content
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:  # Ctrl-C as well
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    _sync(folder)


def _sync(folder: int) -> None:
    """Write the names in a folder to the disk, so that a power cut does not bring an older file back."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def _temporary(folder: int, name: str, mode: int) -> tuple[str, int]:
    """A new file beside the one that is to be written, and its descriptor, locked by this process."""
    while True:
        temporary = f".{name[:200]}.{secrets.token_hex(4)}.new"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        if _locked(file) is not False and os.fstat(file).st_nlink:
            return temporary, file
        os.close(file)  # another writer took it for one that was left behind, before it was locked


def _locked(file: int) -> bool | None:
    """Whether this process got the lock; None on a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_left_behind(folder: int) -> None:
    """Remove the temporary files of writers that were killed: those that no process has locked."""
    for name in os.listdir(folder):
        if TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError):  # it is gone meanwhile, or another user's
                _remove_unlocked(folder, name)


def _remove_unlocked(folder: int, name: str) -> None:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_ISREG(os.fstat(file).st_mode) and _locked(file):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(file)
