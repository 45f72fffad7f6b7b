"""Run index: one line for each run of a results folder, so that thousands are listed at once.

It holds nothing that the run.json files do not, and what it says of one counts only with the SHA-256 of that file: what
is missing, changed or broken is read from the runs again.
"""

import hashlib
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from dgxcert.files import untrusted
from dgxcert.history import index_file, listed_run, timeline
from dgxcert.history.index_file import Row
from dgxcert.history.listed_run import Listed
from dgxcert.machine.identity import Machine
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import economy, run_folders
from dgxcert.record import run as run_file
from dgxcert.record.history_line import Earlier
from dgxcert.record.run_folders import RunFolder

NAME = ".history.sqlite"
READERS = min(8, os.cpu_count() or 1)
"""Threads that hash: a hash of 2,000 runs by one takes a second."""
LOOKED_AT = 20
"""Runs that are read to find some of the same machine and profile, for an estimate."""
TIMED_RUNS = 3
"""Runs that an estimate is made from: the first one after a restart reads everything from the disk."""
LONGEST_S = 7 * 86400.0
"""No requirement takes a week: a longer duration is none."""
SHOWN = 300
"""Characters of a problem that are kept."""


@dataclass(frozen=True)
class Known:
    """All runs of a results folder, oldest first, and what could not be read, each with the reason."""

    runs: tuple[Listed, ...]
    unreadable: dict[str, str]
    unfinished: tuple[str, ...]

    def of(self, machine: str) -> tuple[Earlier, ...]:
        """The last runs of one machine, for the report of its next one."""
        return tuple(run.earlier for run in self.runs if run.machine == machine)[-timeline.MOST_EARLIER :]


def read(results: Path) -> Known:
    """The runs of a results folder; an empty or missing one is no error. Raises CannotStart where it cannot be read."""
    found = run_folders.find(results)
    ended = [folder for folder in found.folders if folder.ended]
    indexed, foreign = index_file.read(results / NAME)
    rows, runs = _current(ended, indexed)
    if rows != indexed and not foreign:
        index_file.write(results / NAME, rows.values())
    unreadable = {folder: row.trouble for folder, row in rows.items() if row.trouble} | found.skipped
    if foreign:
        unreadable[NAME] = f"{foreign}; it is left alone, and without an index this takes longer"
    unfinished = tuple(folder.path.name for folder in found.folders if not folder.ended)
    runs.sort(key=lambda run: (run.started, run.name))
    return Known(tuple(runs), dict(sorted(unreadable.items())), unfinished)


def _current(ended: list[RunFolder], indexed: dict[str, Row]) -> tuple[dict[str, Row], list[Listed]]:
    """A row for each run.json, and their lines: from the index for the same bytes, read from the file otherwise."""
    parts = [ended[at::READERS] for at in range(READERS)]  # few large tasks: one a run would cost as much as its hash
    with ThreadPoolExecutor(READERS) as pool:
        hashes = {path: sha256 for part in pool.map(_hashes, parts) for path, sha256 in part.items()}
    rows: dict[str, Row] = {}
    runs = []
    with economy.uncollected():
        for folder in ended:
            name = folder.path.name
            row, line = _believed(indexed.get(name), folder, hashes[folder.path])
            if row is None:
                row, line = _read(folder)
            rows[name] = row
            if line is not None:
                runs.append(line)
    return rows, runs


def _believed(row: Row | None, folder: RunFolder, sha256: str) -> tuple[Row | None, Listed | None]:
    """A row of the index and the line in it, where they are of these bytes in this very file; None otherwise."""
    if row is None or not sha256 or (row.sha256, row.stamp) != (sha256, _stamp(folder)):
        return None, None
    if row.trouble and not row.line:
        return row, None
    try:
        return row, Listed.model_validate_json(row.line)
    except ValidationError:
        return None, None


def _stamp(folder: RunFolder) -> str:
    status = folder.run
    return f"{status.st_ino} {status.st_ctime_ns} {status.st_size}" if status is not None else ""


def _hashes(folders: list[RunFolder]) -> dict[Path, str]:
    """SHA-256 of the run.json of each folder; "" where it cannot be read."""
    hashes = {}
    for folder in folders:
        try:
            hashes[folder.path] = untrusted.sha256(folder.path / run_file.NAME, run_file.AT_MOST)
        except OSError:
            hashes[folder.path] = ""
    return hashes


def _read(folder: RunFolder) -> tuple[Row, Listed | None]:
    """The row of a run and the line in it, from its run.json; the problem in place of the line where that is none."""
    name, path = folder.path.name, folder.path / run_file.NAME
    about = Row(name, _stamp(folder), "", "", "", "")
    try:
        content = untrusted.read_bytes(path, run_file.AT_MOST)
    except OSError as error:
        return about._replace(trouble=f"{run_file.NAME}: {error.strerror}"), None
    about = about._replace(sha256=hashlib.sha256(content).hexdigest())
    try:
        run = run_file.load_content(content, path)
        line = listed_run.of(run, folder.path)
    except CannotStart as error:
        problem = error.problem
    except (ValueError, ArithmeticError) as error:  # figures that a run has by its form, and no machine reaches
        problem = f"{path} has figures that cannot be: {str(error).partition(chr(10))[0]}"
    else:
        return about._replace(profile=run.profile.name, line=line.model_dump_json()), line
    return about._replace(trouble=untrusted.shown(problem)[:SHOWN]), None


def durations(results: Path, machine: Machine, profile: str, runtime: Runtime) -> dict[str, float]:
    """Seconds that each requirement took in a machine's last runs of a profile and runtime: the median of TIMED_RUNS.

    Empty where no such run is found soon. What could not be measured says nothing: it may have waited for its budget.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    found = 0
    for folder in _newest(results, profile):
        try:
            run = run_file.load(folder)
        except CannotStart:
            continue  # written by another version: it only costs the estimate
        if (run.profile.name, run.machine.hostname, run.options.runtime) != (profile, machine.hostname, runtime):
            continue
        for each in run.results:
            took = each.duration_s if each.outcome in (Outcome.PASSED, Outcome.FAILED) else None
            if took is not None and 0 <= took < LONGEST_S:  # NaN is neither
                seconds[each.key].append(took)
        found += 1
        if found == TIMED_RUNS:
            break
    return {key: statistics.median(took) for key, took in seconds.items()}


def _newest(results: Path, profile: str) -> Iterator[Path]:
    """The folders of the last runs, newest first: those of a profile by the index, or any where there is none."""
    rows, _ = index_file.read(results / NAME)
    names = {row.folder for row in rows.values() if row.profile == profile}
    try:
        folders = [each.path for each in run_folders.find(results).folders if each.ended]
    except CannotStart:
        return
    yield from [path for path in reversed(folders) if not rows or path.name in names][:LOOKED_AT]
