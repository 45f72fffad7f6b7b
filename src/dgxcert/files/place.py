"""The place of a file that is being written: its name still leads to it, and there is space behind its end."""

import ctypes
import errno
import os
import tempfile
from pathlib import Path

FALLOC_FL_KEEP_SIZE = 1
"""fallocate(2): reserve space beyond the end of a file, without a change of its size."""
CANNOT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EINTR}
"""What fallocate(2) returns where a file system cannot reserve space."""
PROBE = bytes(65536)


def require_in_place(file: int, path: Path) -> None:
    """Raise FileNotFoundError where an open file was moved, removed or replaced: what it takes would be lost."""
    there, ours = os.stat(path, follow_symlinks=False), os.fstat(file)
    if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
        raise FileNotFoundError(errno.ENOENT, "it was replaced by another file", str(path))


def reserve(file: int, size_bytes: int) -> None:
    """Reserve space behind the end of a file. Raises OSError where the disk or the quota has none.

    >>> with tempfile.TemporaryFile() as file:
    ...     reserve(file.fileno(), 4096)
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    end = os.fstat(file).st_size
    if libc.fallocate(file, FALLOC_FL_KEEP_SIZE, end, size_bytes) != 0:
        number = ctypes.get_errno()
        if number not in CANNOT:
            raise OSError(number, os.strerror(number))


def require_writable(folder: Path) -> None:
    """Raise OSError where a folder takes no more files or data: then the disk has ended what wrote there."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(PROBE)
        file.flush()
        os.fsync(file.fileno())
