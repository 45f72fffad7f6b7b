"""Private folders: what a call keeps of its connections and plays; one of a killed call is gone with the next.

Each is owned by a lock that the kernel frees when its process ends, however it ends.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PARENT, PREFIX = Path("/tmp"), "dgxr-"  # noqa: S108 (short: the path of a socket of ssh has at most 107 bytes)
OWNER = "owner"
"""The file that is locked: a folder without it is not one of these."""


class PrivateFolder:
    """A folder that nobody else can enter, until `remove` or the end of a `with` statement.

    Making one removes those of this user whose owners are gone.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.path, self._lock = _owned()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _owned() -> tuple[Path, int]:
    """A new folder, and the handle that holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
        lock = os.open(path / OWNER, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path, lock
        os.close(lock)  # another call took it for abandoned before it was locked


def _remove_abandoned() -> None:
    for path in PARENT.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it was never locked, is gone by now, or only has such a name
            about = path.lstat()
            if stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid():  # root could remove everybody's
                _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    """Remove a folder whose owner is gone."""
    lock = os.open(path / OWNER, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
