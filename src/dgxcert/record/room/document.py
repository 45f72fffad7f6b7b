"""A room as `room.json` keeps it: every host with its word, how the machines compare, and the pairs.

A room has no verdict beyond those of its machines.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.suite import Suite
from dgxcert.record.room.word import Word
from dgxcert.record.run import Moment, Result
from dgxcert.record.run import Part as RunPart

NAME = "room.json"
AT_MOST = 512 * MIB
"""The largest room.json that is read: one of 10,000 machines with 60 quantities has some 30 MiB."""
SHOWN = 200


class Part(RunPart):
    """A part of room.json, without unknown fields; the text below a field is its description in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RoomFigure(Part):
    """A headline figure of one machine: see `record.figures.Figure`."""

    name: str
    label: str
    value: float
    unit: str
    failed: bool = False


class Problem(Part):
    """A requirement of one machine that did not pass."""

    key: str
    outcome: Outcome
    reason: str


class HostResult(Part):
    """One host of the inventory, and what became of it."""

    name: str
    address: str
    word: Word
    said: str = ""
    """Why it was not validated, in a sentence; "" where it was."""
    remedy: tuple[str, ...] = ()
    profile: str = ""
    """"" where it was not validated."""
    run: str | None = None
    """Its run folder, relative to the room's; None where nothing was fetched."""
    run_id: str = ""
    verdict: Verdict | None = None
    says: str = ""
    """The verdict with the basis of its limits, as every report says it."""
    started: Moment | None = None
    duration_s: float | None = None
    figures: tuple[RoomFigure, ...] = ()
    problems: tuple[Problem, ...] = ()
    configuration: dict[str, str] = {}
    """Settings by name, such as `kernel` and `firmware`: see `room.comparison.configuration`."""
    identity: dict[str, str] = {}
    """What no two machines share, such as `machine-id`, by name."""

    @property
    def validated(self) -> bool:
        """Whether its run has a verdict."""
        return self.word is Word.VALIDATED and self.verdict is not None


class Outlier(Part):
    """A machine that differs from its like in one quantity, in the bad direction, by more than the others scatter."""

    host: str
    value: float
    away: float
    """How far it is from the median of all, as a share of it; always positive."""
    says: str
    """`spark-17 decodes 9 % slower than the other 29; it alone has kernel 6.17.0-1026`."""


class Compared(Part):
    """One quantity of the machines of one profile."""

    profile: str
    key: str
    """The requirement that measured it."""
    name: str
    unit: str
    higher_is_better: bool
    values: dict[str, float]
    """By host, in the order of the inventory."""
    median: float
    scatter: float
    """The median absolute deviation, scaled to a standard deviation."""
    limit: float
    """Beyond which a machine is an outlier, where there are enough to compare."""
    outliers: tuple[Outlier, ...] = ()
    among: str = ""
    """What these machines have in common, where those of a profile are compared in several parts: `firmware 1.2`."""
    divided: str = ""
    """That a setting divides the machines into faster and slower ones, or that many are slower and none tells why."""


class Difference(Part):
    """A setting that not all machines of a profile have in common."""

    profile: str
    name: str
    majority: str
    """What most have; "" where no value is that of more than half."""
    count: int
    """How many have it."""
    others: dict[str, tuple[str, ...]]
    """The hosts by every other value."""
    unknown: tuple[str, ...] = ()
    """The hosts of which it could not be read."""


class Clash(Part):
    """Hosts that share what no two machines share: one machine twice, or a cloned disk."""

    name: str
    hosts: tuple[str, ...]
    says: str


class PairResult(Part):
    """Two machines that a cable joins, and how they work together."""

    hosts: tuple[str, str]
    says: str
    """In a sentence: how it ended, and which end or cable is at fault where that is known."""
    results: tuple[Result, ...] = ()
    """PAIR-LINK, PAIR-COLLECTIVES and PAIR-TRAINING; empty where the pair was not tested."""
    gbs: float | None = None
    """Bus bandwidth of all_reduce, in GB/s."""
    confirmation: bool = False
    """Whether it is no pair of the inventory, but one tried to find the end at fault."""

    @property
    def well(self) -> bool:
        """Whether it passed, or nothing is asked of it."""
        return self.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE)

    @property
    def outcome(self) -> Outcome:
        """Failed where any requirement failed; passed only where all that apply passed; else inconclusive.

        Not applicable where none applies, as of machines for whose pairs nobody has published figures.
        """
        if self.results and all(result.outcome is Outcome.NOT_APPLICABLE for result in self.results):
            return Outcome.NOT_APPLICABLE
        outcomes = {result.outcome for result in self.results} - {Outcome.NOT_APPLICABLE}
        if Outcome.FAILED in outcomes:
            return Outcome.FAILED
        return Outcome.PASSED if outcomes == {Outcome.PASSED} else Outcome.INCONCLUSIVE


class Room(Part):
    """The whole of room.json."""

    format: Literal[1] = 1
    name: str
    """Of its folder."""
    suite: Suite
    """What the controller delivered, or what merged the folders."""
    started: Moment
    ended: Moment
    hosts: tuple[HostResult, ...]
    """In the order of the inventory."""
    compared: tuple[Compared, ...] = ()
    differences: tuple[Difference, ...] = ()
    clashes: tuple[Clash, ...] = ()
    pairs: tuple[PairResult, ...] = ()
    notes: tuple[str, ...] = ()
    exit_code: Annotated[int, Field(ge=0, le=3)] = 0


def load(folder: Path) -> Room:
    """Read room.json. Raises CannotStart where it is missing or not valid."""
    path = folder / NAME
    try:
        return Room.model_validate_json(untrusted.read_bytes(path, AT_MOST))
    except OSError as error:
        raise CannotStart(
            f"{path} cannot be read: {error.strerror}.", "Name the folder of a room: ls -d results/rooms/*"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CannotStart(
            f"{path} is no document of a room: {place}: {on_one_line(first['msg'])[:SHOWN]}.",
            "Make it again from its runs: dgxcert room merge",
        ) from error


def schema() -> str:
    """The JSON Schema of room.json."""
    made: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(made | Room.model_json_schema(mode="serialization"), indent=1) + "\n"
