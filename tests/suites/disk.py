"""Full disks: `python disk.py FOLDER` fills a small one with a record, then continues it once there is free space."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suites import example

from dgxcert.outcome import CannotStart
from dgxcert.record import journal


@contextmanager
def limit_file_size(size_bytes: int) -> Iterator[None]:
    """Limit the size of every file that this process and its children write (RLIMIT_FSIZE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(folder: Path) -> str:
    """Fill the disk; returns a summary. Every written line must be read back, before and after space is freed."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(8192))
    writer = journal.Writer(folder)
    writer.append(example.opened(example.planned("A")))
    taken: list[journal.Event] = []
    try:
        while True:
            taken.append(example.finished("A", reason=f"line {len(taken)} " + "x" * 300))
            writer.append(taken[-1])
    except CannotStart as error:
        problem = error.problem
        taken.pop()
    kept = journal.read(folder)[1:] == taken
    ballast.unlink()
    again = journal.Writer(folder)
    again.append(journal.Resumed(at=example.AT, rebooted=False))
    went_on = journal.read(folder)[1:] == [*taken, journal.Resumed(at=example.AT, rebooted=False)]
    return f"{problem} kept {kept}, went on {went_on}, more than ten lines {len(taken) > 10}"


if __name__ == "__main__":
    sys.stdout.write(fill(Path(sys.argv[1])))
