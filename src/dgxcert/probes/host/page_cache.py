"""Page cache: the share of a file that is in memory, and how to make the next read come from disk."""

import ctypes
import mmap
import os
from pathlib import Path

from dgxcert.outcome import Inconclusive

IO = Path("/proc/self/io")


def drop(path: Path) -> None:
    """Drop a file from the page cache; pages that some process has mapped stay."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # POSIX_FADV_DONTNEED skips dirty pages
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def resident(path: Path) -> float:
    """Share of a file's pages in memory, 0 to 1, by mincore(2); raises Inconclusive where the kernel refuses."""
    size = path.stat().st_size
    pages = -(-size // mmap.PAGESIZE)
    states = (ctypes.c_ubyte * pages)()
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        # ACCESS_COPY and not ACCESS_READ: ctypes takes the address of writable buffers only. Nothing is written, and
        # mapping a file reads none of its pages.
        view = (ctypes.c_char * size).from_buffer(mapped)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), states)
        finally:
            del view  # mmap.close() raises BufferError while a view of it exists
    if failed:
        message = os.strerror(ctypes.get_errno())
        raise Inconclusive(f"the kernel does not report how much of {path} is in memory: {message}")
    return sum(state & 1 for state in states) / pages  # mincore(2): only the lowest bit has a meaning


def read_bytes() -> int | None:
    """Bytes read from disks for this process so far (proc(5), read_bytes); None without that accounting."""
    try:
        return parse(IO.read_text(encoding="ascii"))
    except OSError:
        return None


def parse(io: str) -> int | None:
    """Bytes read from disks, from the text of /proc/self/io; `rchar` counts reads from the page cache as well.

    >>> parse("rchar: 323934931\\nwchar: 323929600\\nread_bytes: 4096\\nwrite_bytes: 323932160\\n")
    4096
    """
    line = next((line for line in io.splitlines() if line.startswith("read_bytes:")), "")
    return int(line.split()[1]) if line else None
