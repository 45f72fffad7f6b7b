"""The record: `records.jsonl`, one line per event, synced to disk as it happens; all else is rebuilt from it.

One process writes it. A line is written with one system call and synced, so that a power cut loses at most the last
line. Each line carries a hash over itself and all before it (`record.chain`), up to format 5 none. A torn line is
accepted where only a crash can have caused it: at the end, or before a line whose writer found it torn.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from dgxcert.files import place, untrusted
from dgxcert.files.atomic import EVIDENCE
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.spending import Spent
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.machine.software import Software
from dgxcert.machine.trace import Trace
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import Options
from dgxcert.plan.own_checks import OwnChecks
from dgxcert.plan.selection import Planned
from dgxcert.plan.suite import Suite
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import chain, economy, event_text
from dgxcert.record.chain import Chain
from dgxcert.record.history_line import Earlier

NAME = "records.jsonl"
MOST_LINES = 1_000_000
MOST_TORN = 100
"""Lines in a row that crashes can have torn: each resumed run may leave one."""
AT_MOST = 256 * MIB
"""The largest record that is read: 100,000 lines with evidence are 60 MiB."""
FORMAT = 6
"""Version of the record; raised where an older reader would misread it."""
SHOWN = 200
"""Bytes that are kept of what something else has written into a record."""


def now() -> str:
    """The time as records keep it: UTC, to the millisecond, such as 2026-11-23T18:40:12.000Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_zone(text: str) -> str:
    if datetime.fromisoformat(text).utcoffset() is None:
        raise ValueError(f"{text} has no time zone")
    return text


class Event(BaseModel):
    """What every line of a record has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Annotated[str, AfterValidator(_with_zone)] = Field(default_factory=now)


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
    unusual_environment: tuple[str, ...] = ()
    """Variables with their values that were kept and can change a result: `OMP_NUM_THREADS=1`."""
    fallen: tuple[str, ...] = ()
    """Messages about earlier runs that went down together with this machine."""
    waivers: tuple[Waiver, ...] = ()
    """The waivers of this machine."""
    own: OwnChecks | None = None
    """The lab's own checks, of which the plan has the requirements."""
    earlier: tuple[Earlier, ...] = ()
    """What earlier runs of this machine measured, so that reports show its history from this record alone."""


class ChildStarted(Event):
    """A child process starts to work on a stage; each has a log of its own."""

    event: Literal["child", "attempt"] = "child"
    """Called `attempt` up to format 4."""
    stage: str
    number: int
    pid: int
    log: str
    phase: int = 0
    """Which phase of its stage, counted from 0: see `plan.lanes`."""
    gpu: int | None = None
    """The GPU of its lane, where others work at the same time; None where it has the machine for itself."""
    bound: str = ""
    """The processors that it is bound to, and why these; "" where it may use all."""


class SoftwareRead(Event):
    """The software that a stage's first child process runs on."""

    event: Literal["software"] = "software"
    stage: str
    software: Software


class ImageReady(Event):
    """The image that the container stage runs in exists and fits this checkout."""

    event: Literal["image"] = "image"
    image: Image


class Started(Event):
    """A requirement is about to be measured."""

    event: Literal["started"] = "started"
    key: str
    stage: str
    child: int = Field(validation_alias=AliasChoices("child", "attempt"))
    """The number of the child process that measures it; called `attempt` up to format 4."""


class Finished(Event):
    """How one attempt to measure a requirement ended; `RunState` decides which one counts."""

    event: Literal["finished"] = "finished"
    key: str
    outcome: Outcome
    duration_s: FiniteFloat
    watched_s: FiniteFloat | None = None
    """The supervisor's own stopwatch, beside that of the child; None up to format 5, and where no child said this."""
    reason: str = ""
    remedy: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    traces: tuple[Trace, ...] = ()
    repeats: int = 0
    """How many more times this run may measure it by itself, after this ending: see `outcome.Disturbed`."""
    after_work: bool = False
    """Whether it is measured once more after the work: see `outcome.AfterWork`."""
    child: int | None = None
    """The child that it was measured in; None up to format 4."""
    spent: dict[Spent, Annotated[FiniteFloat, Field(ge=0)]] = Field(default_factory=dict)
    """Seconds by what they were spent on, see `judgement.spending`; empty in older records."""


class Said(Event):
    """A long requirement reports how far it has come, in a message for the user."""

    event: Literal["said"] = "said"
    key: str
    text: str


class Stopped(Event):
    """A child killed itself, to protect the machine, while it was measuring `key`."""

    event: Literal["stopped"] = "stopped"
    key: str | None
    reason: str


class Refused(Event):
    """A child said what it may not say, or something else wrote into the record: it is no event of the run."""

    event: Literal["refused"] = "refused"
    stage: str
    child: int
    said: str
    """The beginning of it."""
    why: str


class StageEnded(Event):
    """A stage is over; `problem` says why it could not measure all that was planned."""

    event: Literal["stage_ended"] = "stage_ended"
    stage: str
    problem: str = ""


class Interrupted(Event):
    """The user ended the run; what was being measured may be measured again."""

    event: Literal["interrupted"] = "interrupted"
    by: str
    key: str | None = None
    beside: tuple[str, ...] = ()
    """What was being measured beside it, on other GPUs."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All that was being measured."""
        return (self.key, *self.beside) if self.key else ()


class Resumed(Event):
    """The run continues; `rebooted` says that the machine was restarted in between."""

    event: Literal["resumed"] = "resumed"
    rebooted: bool
    boot_id: str | None = None
    """The boot in which it continues."""


Record = Annotated[
    Opened
    | ChildStarted
    | SoftwareRead
    | ImageReady
    | Started
    | Said
    | Stopped
    | Finished
    | Refused
    | StageEnded
    | Interrupted
    | Resumed,
    Field(discriminator="event"),
]
RECORD: TypeAdapter[Any] = TypeAdapter(Record)


RESERVED = 8192
"""Bytes kept free behind the end of a record, for the line that says why it ends there."""


class Writer:
    """Writes events at the end of one run's record. Raises CannotStart where a line cannot be written.

    It knows where the record ends. What something else has appended is removed, and `strange` tells it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self.path, flags, EVIDENCE)
        except OSError as error:
            raise CannotWrite(self.path, error) from error
        self._begin()

    def _begin(self) -> None:
        """Find the end of the record."""
        content = self._content(os.fstat(self._file).st_size)
        self._end = len(content)
        self._chain = chain.over(_lines(content)) if not content or chain.is_chained(content) else None
        self._strange = b""
        self._cut = bool(content) and not content.endswith(b"\n")
        """Whether the last line was cut short, and must end before the next event, which gets a line of its own."""
        self._wrote = False

    def append(self, event: Event, *, last: bool = False) -> None:
        """Write one line and wait until it is on the disk. The `last` one, which says why, gets the reserved space."""
        text = event_text.redacted(event).encode()
        grown = self._chain.copy() if self._chain is not None else None
        line = (grown.link(text) if grown is not None else text) + b"\n"
        try:
            place.require_in_place(self._file, self.path)
            self._wrote = True
            if not last:
                place.reserve(self._file, len(line) + RESERVED)
        except OSError as error:
            raise CannotWrite(self.path, error) from error
        if self._cut:
            self._write(b"\n")
            self._cut = False
        self._write(line)
        self._chain = grown

    def strange(self) -> str:
        """The beginning of what something else has appended, which is removed; "" where nothing was.

        Raises CannotStart where something else has cut the record.
        """
        size = os.fstat(self._file).st_size
        if size < self._end:
            raise _meddled(self.path)
        if size > self._end:
            self._strange = self._strange or os.pread(self._file, SHOWN, self._end)
            os.ftruncate(self._file, self._end)
        found, self._strange = self._strange, b""
        return found.decode("utf-8", errors="replace")

    def claim(self) -> None:
        """Lock the run until this process ends, however it ends. Raises CannotStart where another process holds it.

        A file system without locks, as some network ones, is no obstacle.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"Run {self.path.parent} is still being worked on by another dgxcert.",
                "Wait for it or stop it, then resume.",
            ) from error
        except OSError:
            pass
        self._begin()  # who had it until now may just have written its last lines

    def events(self) -> list[Event]:
        """All that the record holds, also where its folder was moved or removed meanwhile.

        Raises CannotStart where it no longer holds what was written.
        """
        content = self._content(self._end)
        if self._chain is not None and chain.over(_lines(content)).hash != self._chain.hash:
            raise _meddled(self.path)
        return read_content(content, self.path)

    def close(self) -> None:
        """Close the file and release the lock, and the space that was reserved."""
        if self._wrote:  # otherwise it may be another's, who writes
            with contextlib.suppress(OSError):  # a disk that no longer takes anything keeps it
                os.ftruncate(self._file, os.fstat(self._file).st_size)
        os.close(self._file)

    def _content(self, size: int) -> bytes:
        try:
            return os.pread(self._file, size, 0)
        except OSError as error:
            raise CannotWrite(self.path, error) from error

    def _write(self, line: bytes) -> None:
        """Write a whole line at the end, or nothing; what something else has put there is removed first.

        A full disk takes what still fits, and tells its error at the next write.
        """
        if stranger := self.strange():
            self._strange = stranger.encode()
        written = 0
        try:
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._end + written)
            os.fsync(self._file)  # the next requirement may take the machine down
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise CannotWrite(self.path, error) from error
        self._end += len(line)


def _lines(content: bytes) -> list[bytes]:
    """The lines of a record, the last one also where it has no end."""
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _meddled(path: Path) -> CannotStart:
    return CannotStart(
        f"{path} was changed by something else while the run was made: its lines are not what was measured.",
        "Find out what writes there, then start a new run: dgxcert validate",
    )


def read(folder: Path) -> list[Event]:
    """All events of a run, in order.

    Raises CannotStart for a folder that is not a run, one written by a newer dgxcert, or a damaged line.
    """
    return read_content(content_of(folder), folder / NAME)


def content_of(folder: Path) -> bytes:
    """The bytes of a run's record. Raises CannotStart where there is none that can be read."""
    path = folder / NAME
    try:
        return untrusted.read_bytes(path, AT_MOST)
    except OSError as error:
        raise CannotStart(
            f"{folder} is not a run: {NAME} cannot be read ({error.strerror}).", "Name a folder under results/."
        ) from error


def read_content(content: bytes, path: Path) -> list[Event]:
    """All events in the bytes of a record; `path` is where they were read, for messages. Raises as `read` does."""
    _check_format(content, path)
    with economy.uncollected():
        events = [*map(economy.shared, (_chained if chain.is_chained(content) else _unchained)(content, path))]
    if not events or not isinstance(events[0], Opened):
        raise CannotStart(f"{path} does not begin with an opened run.", "Start a new run.")
    return events


def _chained(content: bytes, path: Path) -> Iterator[Event]:
    """The events of lines that carry hashes; a line that a crash cut short has none, and the next writer's knows it."""
    links = Chain()
    cut: int | None = None
    for number, line in _numbered(content, path):
        inner = links.content(line)
        event = parse(inner) if inner is not None else None
        if event is not None:
            cut = None
            yield event
            continue
        if inner is not None:
            raise _damaged(path, number, "it is no event that this dgxcert knows")
        cut = cut or number
        if chain.was_whole(line) or number - cut >= MOST_TORN:
            lines = content.split(b"\n")
            raise _damaged(path, cut, chain.wrong(lines[cut - 1], cut, lines[cut:]))
        links.skip(line)


def _unchained(content: bytes, path: Path) -> Iterator[Event]:
    """The events of lines up to format 5; a crash can have torn those before a resumed run, and the last ones.

    A second crash can tear the resumed run's own first line, so that the lines after it may be torn as well.
    """
    torn: int | None = None
    for number, line in _numbered(content, path):
        event = parse(line.decode("utf-8", errors="replace"))
        if event is None:
            torn = torn or (number if line.strip() else None)
            if torn and number - torn >= MOST_TORN:
                raise _damaged(path, torn, "it is damaged")
            continue
        if torn is not None and not isinstance(event, Resumed):
            raise _damaged(path, torn, "it is damaged")
        torn = None
        yield event


def _numbered(content: bytes, path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line without its end, and its number; read one by one, since a split would hold all at once."""
    start = number = 0
    while start < len(content):
        number += 1
        if number > MOST_LINES:
            raise CannotStart(f"{path} has more than {MOST_LINES:,} lines.", "Start a new run.")
        end = content.find(b"\n", start)
        end = end if end >= 0 else len(content)
        yield number, content[start:end]
        start = end + 1


def _damaged(path: Path, number: int, wrong: str) -> CannotStart:
    return CannotStart(f"{path}, line {number}: {wrong}.", "Restore the file from a copy, or start a new run.")


def opened(folder: Path) -> Opened:
    """The first line of a run; raises CannotStart as `read` does."""
    first = read(folder)[0]
    if not isinstance(first, Opened):
        raise CannotStart(f"{folder} does not begin with an opened run.", "Start a new run.")
    return first


def parse(line: str | bytes) -> Event | None:
    """One line of a record, or None where it is not a whole event.

    >>> parse('{"at": "2026-11-23T18:40:12.000Z", "event": "started", "key": "GPU-PRESENT", "stage": "native", '
    ...       '"child": 1}').key
    'GPU-PRESENT'
    >>> parse('{"at": "2026-11-23T18:40:12.000Z", "event": "star') is None
    True
    """
    try:
        parsed: Event = RECORD.validator.validate_json(line)
    except ValidationError:
        return None
    return parsed


def _check_format(content: bytes, path: Path) -> None:
    version: object = chain.format_of(content)
    if version is None:
        try:
            version = untrusted.parse_json(chain.first_line(content).decode()).get("format", 0)
        except (ValueError, AttributeError):
            return  # `read` reports an unreadable first line
    if isinstance(version, int) and version > FORMAT:
        if chain.is_changed_format(chain.first_line(content)):
            raise _damaged(path, 1, "it was changed")
        raise CannotStart(
            f"{path} was written by a newer dgxcert (format {version}, this one reads up to {FORMAT}).",
            "Use that newer dgxcert; nothing was changed.",
        )
