"""Page cache: which part of a file lies in memory, and how to have it read from disk again."""

import ctypes
import mmap
import os
from pathlib import Path

from dgxcert.outcome import Inconclusive

IO = Path("/proc/self/io")


def drop(path: Path) -> None:
    """Ask the kernel to forget a file's pages; it keeps those that are mapped or not yet written out."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def resident(path: Path) -> float:
    """Share of a file's pages that lie in memory, by mincore(2); raises Inconclusive where that is not told."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    states = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        place = (ctypes.c_char * size).from_buffer(mapped)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            wrong = libc.mincore(ctypes.c_void_p(ctypes.addressof(place)), ctypes.c_size_t(size), states)
        finally:
            del place  # a mapping with a view of it cannot be closed
    if wrong:
        raise Inconclusive(f"the kernel does not tell what of {path} is in memory: {os.strerror(ctypes.get_errno())}")
    return sum(state & 1 for state in states) / pages


def read_bytes() -> int | None:
    """Bytes that this process has had read from disks so far (proc(5), read_bytes); None where nobody counts."""
    try:
        return parse(IO.read_text(encoding="ascii"))
    except OSError:
        return None


def parse(io: str) -> int | None:
    """The figure of a /proc/self/io text: `read_bytes: 4096`."""
    line = next((line for line in io.splitlines() if line.startswith("read_bytes:")), "")
    return int(line.split()[1]) if line else None
