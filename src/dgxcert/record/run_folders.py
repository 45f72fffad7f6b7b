"""Run folders: the one way to find the runs of a results folder, whatever else lies there.

What looks like a run and is none costs one line: it is skipped with its name and the reason.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dgxcert.files import untrusted
from dgxcert.outcome import CannotStart
from dgxcert.record import journal
from dgxcert.record import run as runs


def signed_file(folder: Path) -> Path | None:
    """The signed file of a run folder, a certificate before a report; None where there is none.

    A link counts as one, wherever it leads: whoever reads it refuses it.
    """
    return next((folder / name for name in runs.SIGNED if os.path.lexists(folder / name)), None)


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds a run.json, a record or both, each a regular file."""

    path: Path
    run: os.stat_result | None
    record: os.stat_result | None
    signed: bool

    @property
    def ended(self) -> bool:
        """Whether it has a run.json."""
        return self.run is not None

    @property
    def closed(self) -> bool:
        """Whether its run.json is newer than its record: such a run has ended, and thousands of them need not be read.

        A signed run has ended too; a copy of one need not have kept the times of its files.
        """
        newer = self.run is not None and self.record is not None and self.run.st_mtime_ns >= self.record.st_mtime_ns
        return self.signed or self.record is None or newer


@dataclass
class Found:
    """The run folders of a results folder, by name, and why anything else that looks like one is skipped."""

    folders: list[RunFolder] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """The reason by name; names are such as can be printed."""


def find(results: Path) -> Found:
    """The run folders of a results folder; none where it does not exist. Raises CannotStart where it cannot be read."""
    found = Found()
    try:
        names = sorted(os.listdir(results))
    except FileNotFoundError:
        return found
    except OSError as error:
        raise CannotStart(
            f"Results folder {results} cannot be read: {error.strerror}.", "Name another with --results."
        ) from error
    for name in names:
        try:
            folder, reason = _look(results / name)
        except FileNotFoundError:  # it vanished meanwhile
            continue
        except OSError as error:
            folder, reason = None, f"it cannot be read: {error.strerror}"
        if folder is not None:
            found.folders.append(folder)
        elif reason:
            found.skipped[untrusted.shown(name)] = reason
    return found


def _look(path: Path) -> tuple[RunFolder | None, str]:
    """The run folder at a path; or why it is skipped, "" for what is no concern of anyone who looks for runs."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return None, _about_link(path)
    if not stat.S_ISDIR(mode):
        return None, "" if stat.S_ISREG(mode) else f"it is {untrusted.kind(mode)}, not a folder"
    kept = {name: _status(f"{path}/{name}") for name in (runs.NAME, journal.NAME, *runs.SIGNED)}
    run, record = kept[runs.NAME], kept[journal.NAME]
    if run is None and record is None:
        return None, ""
    if untrusted.shown(path.name) != path.name:
        return None, "its name has control characters, or is not UTF-8"
    for name, status in ((runs.NAME, run), (journal.NAME, record)):
        if status is not None and not stat.S_ISREG(status.st_mode):
            return None, f"its {name} is {untrusted.kind(status.st_mode)}, not a regular file"
    return RunFolder(path, run, record, signed=any(kept[name] is not None for name in runs.SIGNED)), ""


def _about_link(path: Path) -> str:
    """Why a link is skipped; "" for one to a run beside it, which is found by its own name, or to no folder."""
    try:
        leads_to = Path(os.path.realpath(path, strict=True))
    except OSError:  # it leads nowhere, or to itself
        return "it is a link that leads nowhere"
    if not leads_to.is_dir() or leads_to.parent == Path(os.path.realpath(path.parent)):
        return ""
    return "it is a link to another folder, not a folder"


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
