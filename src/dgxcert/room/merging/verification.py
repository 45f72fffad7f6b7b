"""Verification: every run of a room rebuilt from its record, several at a time, and never twice for the same bytes.

A run is verified as `dgxcert show` does it. What that gave is kept beside the room with inode, times and size of its
run.json and record: where these are as they were, and were not made in the last seconds before, as with git's index,
the run is not read again. It is by another suite than the one that verified it.
"""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dgxcert.certificate import consistency, origin
from dgxcert.files import untrusted
from dgxcert.history import index_file
from dgxcert.history.index_file import Row
from dgxcert.outcome import CannotStart
from dgxcert.record.run_folders import RunFolder
from dgxcert.room.merging import extract

NAME = ".runs.sqlite"
VERSION = 1
"""Of what is kept: raised where an extract has other fields, or is made otherwise."""
FEW = 8
"""Runs that one process verifies sooner than others have started."""
AT_ONCE = 8
"""Runs that are handed to a process in one piece."""
SAVED_EVERY_S = 30.0
JUST_MADE_S = 3.0
"""A file that was changed so shortly before could be changed again without another time."""
SHOWN = 300


@dataclass(frozen=True)
class Verified:
    """A run folder with its extract; or why it proves nothing, and "" for the extract."""

    path: Path
    line: str
    trouble: str


def verify(folders: Sequence[RunFolder], kept_in: Path, now: datetime, say: Callable[[str], None]) -> list[Verified]:
    """Every run, verified now or known from before; `kept_in` is the folder of the room."""
    with origin.remembered() as known:
        mark = f"{VERSION} {origin.ours().sha256}"
        rows, _ = index_file.read(kept_in / NAME)
        found = {each.path: row for each in folders if (row := _believed(rows, each, mark))}
        waiting = [each for each in folders if each.path not in found]
        if len(waiting) > FEW:
            say(f"{len(waiting)} runs are rebuilt from their records")
        saved = time.monotonic()
        for folder, row in _verified(waiting, mark, now, known):
            found[folder.path] = row
            if time.monotonic() - saved > SAVED_EVERY_S:
                _save(kept_in, found)
                saved = time.monotonic()
        if waiting:
            _save(kept_in, found)
    return [Verified(each.path, found[each.path].line, found[each.path].trouble) for each in folders]


def _believed(rows: dict[str, Row], folder: RunFolder, mark: str) -> Row | None:
    row = rows.get(str(folder.path))
    if row is None or (row.sha256, row.stamp) != (mark, _stamp(folder)):
        return None
    return row


def _save(folder: Path, found: dict[Path, Row]) -> None:
    """Keep what is known. Of files that were just made nothing is kept."""
    until = time.time_ns() - int(JUST_MADE_S * 1e9)
    with contextlib.suppress(OSError):  # what cannot be kept costs time alone
        folder.mkdir(parents=True, exist_ok=True)  # `--out` may name one that its first merge makes
    index_file.write(folder / NAME, [row for row in found.values() if row.stamp and _made(row.stamp) < until])


def _made(stamp: str) -> int:
    return max(int(part) for part in stamp.split()[1::4])


def _stamp(folder: RunFolder) -> str:
    """Inode, last change, time and size of run.json and record; "" where one of them is missing."""
    if folder.run is None or folder.record is None:
        return ""
    each = (folder.run, folder.record)
    return " ".join(f"{kept.st_ino} {kept.st_ctime_ns} {kept.st_mtime_ns} {kept.st_size}" for kept in each)


def _verified(
    folders: Sequence[RunFolder], mark: str, now: datetime, known: origin.Known
) -> Iterator[tuple[RunFolder, Row]]:
    """Each folder with its row, as they are done."""
    here = folders if len(folders) <= FEW else folders[:1]  # one run asks the suite for all processes
    for folder in here:
        yield folder, _row(folder, mark, *_of(folder.path, now))
    rest = folders[len(here) :]
    if not rest:
        return
    # A process that is forked would share the locks of this one's threads.
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=start, initializer=origin.remember, initargs=(known,)) as pool:
        pieces = [rest[at : at + AT_ONCE] for at in range(0, len(rest), AT_ONCE)]
        answers = pool.map(_of_each, [[each.path for each in piece] for piece in pieces], [now] * len(pieces))
        for piece, answer in zip(pieces, answers, strict=True):
            for folder, (line, trouble) in zip(piece, answer, strict=True):
                yield folder, _row(folder, mark, line, trouble)


def _row(folder: RunFolder, mark: str, line: str, trouble: str) -> Row:
    return Row(str(folder.path), _stamp(folder), mark, "", line, trouble)


def _of_each(paths: Sequence[Path], now: datetime) -> list[tuple[str, str]]:
    return [_of(path, now) for path in paths]


def _of(path: Path, now: datetime) -> tuple[str, str]:
    """The extract of a run that its record proves, and ""; or "" and why it is not proven."""
    try:
        loaded = consistency.load(path, now)
        if loaded.unchecked == consistency.ALONE:
            return "", loaded.unchecked
        return extract.line(loaded.run, loaded.unchecked), ""
    except CannotStart as error:
        return "", _shown(error.problem)
    except (ValueError, ArithmeticError) as error:  # figures that a run has by its form, and no machine reaches
        return "", _shown(f"{path} has figures that cannot be: {str(error).partition(chr(10))[0]}")


def _shown(problem: str) -> str:
    return untrusted.shown(problem)[:SHOWN]
