"""The index of a results folder: one line for each run, in SQLite, so that thousands are listed at once.

It holds nothing that run.json files do not: what is missing, changed or broken in it is read anew.
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
from dgxcert.record import run as runs
from dgxcert.record.history_line import Earlier

NAME = ".history.sqlite"
VERSION = 2
"""Of what is kept in a line; another one is read anew."""
TABLE = "CREATE TABLE run (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, line TEXT, trouble TEXT NOT NULL)"
SKIPPED = ("baselines",)


@dataclass(frozen=True)
class Known:
    """All runs of a results folder, oldest first, and the folders that could not be read, each with the reason."""

    runs: tuple[Earlier, ...]
    unreadable: dict[str, str]
    unfinished: tuple[str, ...]


def read(results: Path) -> Known:
    """What a results folder holds; the index is brought up to date on the way. An empty one is no error."""
    try:
        return _read(results)
    except ValidationError:  # a line that is none of ours
        (results / NAME).unlink(missing_ok=True)
        return _read(results)


def _read(results: Path) -> Known:
    stamps, unfinished = _stamps(results)
    with _opened(results) as index:
        held = dict(index.execute("SELECT folder, stamp FROM run"))
        gone = [(folder,) for folder in held if folder not in stamps]
        new = [folder for folder, stamp in stamps.items() if held.get(folder) != stamp]
        with index:
            index.executemany("DELETE FROM run WHERE folder = ?", gone)
            index.executemany(
                "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)",
                ((folder, stamps[folder], *_line(results / folder)) for folder in new),
            )
        rows = list(index.execute("SELECT folder, line, trouble FROM run ORDER BY folder"))
    found = sorted(
        (Earlier.model_validate_json(line) for _, line, _ in rows if line), key=lambda run: (run.started, run.name)
    )
    return Known(tuple(found), {folder: trouble for folder, line, trouble in rows if not line}, unfinished)


def earlier(results: Path, machine: str) -> tuple[Earlier, ...]:
    """The last runs of one machine, for the report of its next one. An unreadable folder costs only the history."""
    with contextlib.suppress(OSError, sqlite3.Error):
        return tuple(run for run in read(results).runs if run.machine == machine)[-timeline.MOST_EARLIER :]
    return ()


def _stamps(results: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Size and time of each run.json by folder, and the folders that hold a record and no run.json yet."""
    stamps: dict[str, str] = {}
    unfinished = []
    for folder in sorted(results.iterdir()) if results.is_dir() else []:
        try:
            about = (folder / runs.NAME).stat()
        except OSError:
            if (folder / journal.NAME).exists():
                unfinished.append(folder.name)
            continue
        stamps[folder.name] = f"{about.st_size} {about.st_mtime_ns}"
    return stamps, tuple(unfinished)


def _line(folder: Path) -> tuple[str | None, str]:
    try:
        return timeline.of(runs.load(folder)).model_dump_json(), ""
    except CannotStart as error:
        return None, error.problem


@contextlib.contextmanager
def _opened(results: Path) -> Iterator[sqlite3.Connection]:
    """The index, made anew where it is missing, broken or of another version; in memory where it cannot be kept."""
    index = _usable(results / NAME) or _connect(":memory:")
    try:
        yield index
    finally:
        index.close()


def _usable(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
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
        index.execute("SELECT folder, stamp, line, trouble FROM run LIMIT 1")
        index.execute("PRAGMA quick_check")
        with index:
            index.execute("DELETE FROM run WHERE folder = ''")  # it can be written to
    except sqlite3.DatabaseError:
        index.close()
        raise
    return index
