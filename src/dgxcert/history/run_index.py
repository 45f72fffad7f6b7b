"""Run index: one line for each run of a results folder, in SQLite, so that thousands are listed at once.

It holds nothing that the run.json files do not: what is missing, changed or broken in it is read from them again.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from dgxcert.history import timeline
from dgxcert.outcome import CannotStart
from dgxcert.record import journal
from dgxcert.record import run as run_file
from dgxcert.record.history_line import Earlier

NAME = ".history.sqlite"
VERSION = 3
"""The version of the lines: an index of another version is rebuilt."""
TABLE = "CREATE TABLE run (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, line TEXT, trouble TEXT NOT NULL)"


@dataclass(frozen=True)
class Known:
    """All runs of a results folder, oldest first, and the folders that could not be read, each with the reason."""

    runs: tuple[Earlier, ...]
    unreadable: dict[str, str]
    unfinished: tuple[str, ...]


def read(results: Path) -> Known:
    """The runs of a results folder, from the index, which is updated first. An empty folder is no error."""
    try:
        return _read(results)
    except ValidationError:  # a line that another program or version wrote
        (results / NAME).unlink(missing_ok=True)
        return _read(results)


def _read(results: Path) -> Known:
    stamps, unfinished = _stamps(results)
    with _opened(results) as index:
        indexed = dict(index.execute("SELECT folder, stamp FROM run"))
        removed = [(folder,) for folder in indexed if folder not in stamps]
        changed = [folder for folder, stamp in stamps.items() if indexed.get(folder) != stamp]
        with index:
            index.executemany("DELETE FROM run WHERE folder = ?", removed)
            index.executemany(
                "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)",
                ((folder, stamps[folder], *_line(results / folder)) for folder in changed),
            )
        rows = list(index.execute("SELECT folder, line, trouble FROM run ORDER BY folder"))
    runs = sorted(
        (Earlier.model_validate_json(line) for _, line, _ in rows if line), key=lambda run: (run.started, run.name)
    )
    return Known(tuple(runs), {folder: problem for folder, line, problem in rows if not line}, unfinished)


def earlier(results: Path, machine: str) -> tuple[Earlier, ...]:
    """The last runs of one machine, for the report of its next one; none where the folder cannot be read."""
    with contextlib.suppress(OSError, sqlite3.Error):
        return tuple(run for run in read(results).runs if run.machine == machine)[-timeline.MOST_EARLIER :]
    return ()


def _stamps(results: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Size and modification time of each run.json by folder, and the folders that hold a record but no run.json yet."""
    stamps: dict[str, str] = {}
    unfinished = []
    for folder in sorted(results.iterdir()) if results.is_dir() else []:
        try:
            status = (folder / run_file.NAME).stat()
        except OSError:
            if (folder / journal.NAME).exists():
                unfinished.append(folder.name)
            continue
        stamps[folder.name] = f"{status.st_size} {status.st_mtime_ns}"
    return stamps, tuple(unfinished)


def _line(folder: Path) -> tuple[str | None, str]:
    """The line of a run as JSON and no problem, or no line and the problem with its run.json."""
    try:
        return timeline.of(run_file.load(folder)).model_dump_json(), ""
    except CannotStart as error:
        return None, error.problem


@contextlib.contextmanager
def _opened(results: Path) -> Iterator[sqlite3.Connection]:
    """The index, rebuilt where it is missing, broken or of another version; in memory where it cannot be written."""
    index = _usable(results / NAME) or _connect(":memory:")
    try:
        yield index
    finally:
        index.close()


def _usable(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):  # the second time without the broken file
        try:
            return _connect(str(path))
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return None


def _connect(path: str) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=10.0)
    try:
        if index.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            with index:
                index.execute("DROP TABLE IF EXISTS run")
                index.execute(TABLE)
                index.execute(f"PRAGMA user_version = {VERSION}")
        # a file may open and still be of other columns, damaged or read-only: each raises DatabaseError here
        index.execute("SELECT folder, stamp, line, trouble FROM run LIMIT 1")
        index.execute("PRAGMA quick_check")
        with index:
            index.execute("DELETE FROM run WHERE folder = ''")
    except sqlite3.DatabaseError:
        index.close()
        raise
    return index
