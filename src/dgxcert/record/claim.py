"""The claim on a run: who measures, signs or packs it works on it alone. The kernel ends a claim with its process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dgxcert.outcome import CannotStart
from dgxcert.record import journal


def busy(folder: Path) -> CannotStart:
    """The refusal of a run that another process has claimed."""
    return CannotStart(f"Run {folder} is still being worked on by another dgxcert.", "Wait for it or stop it.")


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Claim a run for as long as the block lasts, by the lock on its record that `journal.Writer.claim` takes too.

    Raises CannotStart where another process has it. A folder without a record, and a file system without locks, are no
    obstacle: there is nothing to protect there, or no way to.
    """
    record = _opened(folder / journal.NAME)
    if record is None:
        yield
        return
    try:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(folder) from None
        except OSError:
            pass
        yield
    finally:
        os.close(record)


def _opened(path: Path) -> int | None:
    """A descriptor of a record, for writing where that is allowed: NFS locks nothing else, flock(2)."""
    for access in (os.O_RDWR, os.O_RDONLY):
        with contextlib.suppress(OSError):
            return os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return None
