"""The record: `records.jsonl`, one line per event, flushed to disk as it happens; all else is rebuilt from it.

A line is written with one system call and synced, so a power cut loses at most the line in flight. A line torn
that way is tolerated where it can only be that: at the end, or just before the line of a resumed run.
"""

import errno
import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dgxcert.judgement.evidence import Evidence
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.machine.software import Software
from dgxcert.machine.trace import Trace
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.plan.suite import Suite
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.waivers import Waiver
from dgxcert.record.history_line import Earlier

NAME = "records.jsonl"
FORMAT = 4
"""Version of the record; raised when an older reader would misread it."""


def now() -> str:
    """The time as records keep it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Event(BaseModel):
    """What every line has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field(default_factory=now)


class Opened(Event):
    """The first line: everything that was decided before anything was measured."""

    event: Literal["opened"] = "opened"
    format: int = FORMAT
    suite: Suite
    options: Options
    profile: Profile
    machine: Machine
    plan: tuple[Planned, ...]
    ignored_environment: tuple[str, ...] = ()
    fallen: tuple[str, ...] = ()
    """Earlier runs here that went down together with the machine, in words."""
    waivers: tuple[Waiver, ...] = ()
    """Those of this machine."""
    earlier: tuple[Earlier, ...] = ()
    """What earlier runs of this machine reached, so that a report shows its history from its own record alone."""


class Attempt(Event):
    """A child process began to work on a stage; each has a log of its own."""

    event: Literal["attempt"] = "attempt"
    stage: str
    number: int
    pid: int
    log: str


class SoftwareRead(Event):
    """The software as the child saw it."""

    event: Literal["software"] = "software"
    stage: str
    software: Software


class ImageReady(Event):
    """The image that the container stage runs in is there and fits this checkout."""

    event: Literal["image"] = "image"
    image: Image


class Started(Event):
    """A requirement is about to be measured."""

    event: Literal["started"] = "started"
    key: str
    stage: str
    attempt: int


class Finished(Event):
    """How a requirement ended."""

    event: Literal["finished"] = "finished"
    key: str
    outcome: Outcome
    duration_s: float
    reason: str = ""
    remedy: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    traces: tuple[Trace, ...] = ()


class Said(Event):
    """How far a long requirement has come, in words for whoever waits."""

    event: Literal["said"] = "said"
    key: str
    text: str


class Stopped(Event):
    """A child ended itself, to protect the machine, while it was measuring `key`."""

    event: Literal["stopped"] = "stopped"
    key: str | None
    reason: str


class StageEnded(Event):
    """A stage is over; `problem` says why when it could not do all that was planned."""

    event: Literal["stage_ended"] = "stage_ended"
    stage: str
    problem: str = ""


class Interrupted(Event):
    """Somebody ended the run; `key` was being measured and may be measured again."""

    event: Literal["interrupted"] = "interrupted"
    by: str
    key: str | None = None


class Resumed(Event):
    """The run goes on; `rebooted` says that the machine was started anew in between."""

    event: Literal["resumed"] = "resumed"
    rebooted: bool
    boot_id: str | None = None
    """Under which boot it goes on."""


Record = Annotated[
    Opened
    | Attempt
    | SoftwareRead
    | ImageReady
    | Started
    | Said
    | Stopped
    | Finished
    | StageEnded
    | Interrupted
    | Resumed,
    Field(discriminator="event"),
]
RECORD: TypeAdapter[Any] = TypeAdapter(Record)

CLAIM_S = 2.0


class Writer:
    """Appends events to one run's record. Raises CannotStart when the disk does not take a line."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._end_torn_line()

    def append(self, event: Event) -> None:
        """Write one line and wait until it is on the disk."""
        line = event.model_dump_json().encode() + b"\n"
        try:
            written = os.write(self._file, line)
            if written < len(line):
                self._take_back(line[:written])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def claim(self) -> None:
        """Hold the run for this process as long as it lives; raises CannotStart when another one has it."""
        try:
            self._lock()
        except OSError as error:
            raise CannotStart(
                f"Run {self.path.parent} is still being worked on by another dgxcert.",
                "Wait for it or end it, then resume.",
            ) from error

    def _lock(self) -> None:
        """Take the lock; a child in a container has it for a moment when it ends because its supervisor is gone."""
        until = time.monotonic() + CLAIM_S
        while True:
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def _take_back(self, part: bytes) -> None:
        """Cut off a line that the disk took only in part, so that another process's next line cannot join it."""
        before = os.fstat(self._file).st_size - len(part)
        if os.pread(self._file, len(part), before) == part:
            os.ftruncate(self._file, before)

    def _end_torn_line(self) -> None:
        """Close off a line that was cut short, so that the next one starts on its own."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            try:
                os.write(self._file, b"\n")
            except OSError as error:
                raise _cannot_write(self.path, error) from error


class Follower:
    """Reads what is appended to a record, by this process or another, from its present end on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._position = self._path.stat().st_size

    def events(self) -> list[Event]:
        """The events that were appended since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            appended = file.read()
        whole = appended[: appended.rfind(b"\n") + 1]  # the rest of a line that is being written comes next time
        self._position += len(whole)
        return [event for line in whole.splitlines() if (event := parse(line.decode())) is not None]


def _cannot_write(path: Path, error: OSError) -> CannotStart:
    return CannotStart(
        f"{path} cannot be written: {error.strerror}.",
        "Make room or mend the permissions, then go on with --resume; what was written so far is kept.",
    )


def read(folder: Path) -> list[Event]:
    """All events of a run, in order.

    Raises CannotStart for a folder that is no run, one written by a newer dgxcert, or a damaged line.
    """
    path = folder / NAME
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise CannotStart(
            f"{folder} is no run: {NAME} cannot be read ({error.strerror}).", "Name a folder under results/."
        ) from error
    lines = text.split("\n")
    _check_format(lines[0], path)
    events: list[Event] = []
    for number, line in enumerate(lines, start=1):
        event = parse(line)
        if event is not None:
            events.append(event)
        elif line and not _may_be_torn(lines, number):
            raise CannotStart(f"{path}, line {number} is damaged.", "Restore the file from a copy, or start a new run.")
    if not events or not isinstance(events[0], Opened):
        raise CannotStart(f"{path} does not begin with an opened run.", "Start a new run.")
    return events


def opened(folder: Path) -> Opened:
    """The first line of a run; raises CannotStart as `read` does."""
    first = read(folder)[0]
    if not isinstance(first, Opened):
        raise CannotStart(f"{folder} does not begin with an opened run.", "Start a new run.")
    return first


def parse(line: str) -> Event | None:
    """One line of a record, or None where it is not a whole event."""
    try:
        parsed: Event = RECORD.validate_json(line)
    except ValidationError:
        return None
    return parsed


def _may_be_torn(lines: list[str], number: int) -> bool:
    """Only the last line, or the last before a resumed run, can have been cut short by a crash or a full disk.

    A second crash can tear the resumed run's own first line, so what follows may be torn as well.
    """
    following = next((event for line in lines[number:] if (event := parse(line)) is not None), None)
    return following is None or isinstance(following, Resumed)


def _check_format(first_line: str, path: Path) -> None:
    try:
        found = json.loads(first_line).get("format", 0)
    except (ValueError, AttributeError):
        return  # not a readable first line: `read` says so
    if isinstance(found, int) and found > FORMAT:
        raise CannotStart(
            f"{path} was written by a newer dgxcert (format {found}, this one reads up to {FORMAT}).",
            "Use that newer dgxcert; nothing was changed.",
        )
