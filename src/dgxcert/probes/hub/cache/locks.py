"""Lock files of the clients: whether this user may take them, and which process holds one."""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

LOCKS = Path("/proc/locks")
PROC = Path("/proc")
BUSY_S = 120.0
"""A holder that began, or wrote, within this time is at work."""
STOPPED = ("T", "t", "Z")
"""States in proc(5) of a process that does nothing until somebody acts."""


class Held(Exception):  # noqa: N818 (read as `raise Held`)
    """A lock that another process holds."""


def take(lock: Path) -> None:
    """Open a lock file as filelock does, and see whether it is free.

    Raises Held, or OSError where it cannot be opened: filelock needs to write to it, although it never does.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # A shared lock for a moment, which other clients wait out: they ask again after 50 ms.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Held from error
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    finally:
        os.close(descriptor)


def holder(lock: Path) -> int:
    """The process that holds a lock, from /proc/locks; 0 where it is in a container, or on another machine."""
    with contextlib.suppress(OSError):
        status = lock.stat()
        return parse_locks(LOCKS.read_text(encoding="ascii"), os.major(status.st_dev), os.minor(status.st_dev),
                           status.st_ino)  # fmt: skip
    return 0


def parse_locks(text: str, major: int, minor: int, inode: int) -> int:
    """The process that holds an flock of a file; 0 where the text names none.

    Of a file system without a device of its own, as btrfs, stat and the kernel's table give other minor numbers: then
    the inode alone tells.

    >>> parse_locks("1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF", 0xFD, 1, 131)
    4711
    """
    by_inode = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK":  # `->` is there for one that waits
            continue
        device, _, number = words[5].rpartition(":")
        if number == str(inode):
            by_inode[device] = int(words[4])
    return by_inode.get(f"{major:02x}:{minor:02x}", next(iter(by_inode.values()), 0))


def is_at_work(pid: int, partial: list[Path]) -> bool:
    """Whether the holder of a lock downloads: it has begun a short time ago, or one of its partial files grows."""
    now = time.time()
    for path in partial:
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime < BUSY_S and not _is_stopped(pid):
                return True
    with contextlib.suppress(OSError):
        return bool(pid) and now - (PROC / str(pid)).stat().st_mtime < BUSY_S and not _is_stopped(pid)
    return False


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[
            0
        ] in STOPPED
    return False


def name_of(pid: int) -> str:
    """A process's program and number.

    >>> name_of(0)
    'a process that is not seen from here'
    """
    if not pid:
        return "a process that is not seen from here"
    with contextlib.suppress(OSError):
        return f"{(PROC / str(pid) / 'comm').read_text(encoding='utf-8', errors='replace').strip()} (pid {pid})"
    return f"pid {pid}"
