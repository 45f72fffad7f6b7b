"""Events: everything that can happen in a run, one class per line of its record."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dgxcert.earlier import Earlier
from dgxcert.evidence import Evidence
from dgxcert.image import Image
from dgxcert.machine import Machine
from dgxcert.outcome import Outcome
from dgxcert.plan import Options, Planned
from dgxcert.profile import Profile
from dgxcert.software import Software
from dgxcert.trace import Trace
from dgxcert.waivers import Waiver

FORMAT = 4
"""Version of the record; raised when an older reader would misread it."""


def now() -> str:
    """The time as records keep it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Event(BaseModel):
    """What every line has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str = Field(default_factory=now)


class Suite(BaseModel):
    """Which version of the suite ran. `commit` and `modified` are None outside a checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str | None = None
    modified: bool | None = None
    sha256: str


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
