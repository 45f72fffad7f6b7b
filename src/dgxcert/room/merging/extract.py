"""Extract: what a room needs of one run, kept as one line, so that 10,000 runs are read once and compared often."""

import base64
import zlib
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from dgxcert.history import timeline
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record import figures
from dgxcert.record.room.document import Problem, RoomFigure
from dgxcert.record.run import Moment, Result, Run
from dgxcert.report import words
from dgxcert.room.comparison import configuration, identity, quantities
from dgxcert.room.comparison.quantities import BEYOND, Quantity, Reading

MOST_PROBLEMS = 50
LONGEST = 300
"""Characters of a reason that are kept."""
LARGEST = 1 << 20
"""Bytes of an extract that is read: one of 1,000 quantities has 100,000."""

Row = tuple[str, str, str, str, bool, float, int]
"""The fields of a quantity, then value and GPU."""


class Part(BaseModel):
    """A part of an extract, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Head(Part):
    """Of which machine a run is, and which of its runs it is."""

    run: str
    id: str
    hostname: str
    known_as: str
    """Its GPUs, or its host name: see `history.timeline`."""
    serial: str
    started: Moment
    ended: Moment

    @property
    def when(self) -> datetime:
        """When it ended."""
        return datetime.fromisoformat(self.ended)


class Kind(Part):
    """What two runs must have in common to be compared."""

    profile: str
    version: str
    """Of the suite, or of a profile of the user's own: twelve digits of its hash."""
    tier: str
    stack: str
    runtime: str
    hardware: str


class Body(Part):
    """Everything else that a room shows of a run."""

    kind: Kind
    verdict: Verdict
    says: str
    waived: int
    figures: tuple[RoomFigure, ...]
    problems: tuple[Problem, ...]
    configuration: dict[str, str]
    identity: dict[str, str]
    rows: tuple[Row, ...]
    unchecked: str
    """What could not be checked of it; "" where nothing is left."""

    def readings(self) -> Iterable[Reading]:
        """What it measured that others are compared by."""
        for key, name, unit, limit, higher, value, gpu in self.rows:
            yield Reading(Quantity(key, name, unit, limit, higher), value, gpu)


def line(run: Run, unchecked: str) -> str:
    """The extract of a run as one line: its head as JSON, then its body, packed."""
    packed = base64.b85encode(zlib.compress(_body(run, unchecked).model_dump_json().encode(), level=1)).decode()
    return f"{_head(run).model_dump_json()}\n{packed}"


def head(text: str) -> Head:
    """The head of a line. Raises ValueError where it is none."""
    return Head.model_validate_json(text.partition("\n")[0])


def body(text: str) -> Body:
    """The body of a line. Raises ValueError where it is none."""
    packing = zlib.decompressobj()
    try:
        unpacked = packing.decompress(base64.b85decode(text.partition("\n")[2]), LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return Body.model_validate_json(unpacked)


def _head(run: Run) -> Head:
    return Head(
        run=run.name,
        id=run.id,
        hostname=run.machine.hostname,
        known_as=timeline.known_as(run.machine),
        serial=identity.of(run.machine).get(identity.SERIAL, ""),
        started=run.started,
        ended=run.ended,
    )


def _body(run: Run, unchecked: str) -> Body:
    return Body(
        kind=_kind(run),
        verdict=run.judgement.verdict,
        says=words.verdict_with_basis(run),
        waived=len(run.waived),
        figures=tuple(
            RoomFigure(name=each.name, label=each.label, value=each.value, unit=each.unit, failed=each.failed)
            for each in figures.figures(run)
            if abs(each.value) < BEYOND
        ),
        problems=tuple(_problem(result) for result in run.results if _is_problem(result))[:MOST_PROBLEMS],
        configuration=configuration.of(run),
        identity=identity.of(run.machine),
        rows=tuple(_row(reading) for reading in quantities.readings(run)),
        unchecked=unchecked,
    )


def _kind(run: Run) -> Kind:
    products = sorted(gpu.product for gpu in run.machine.gpus)
    own = f" {run.profile_sha256[:12]}" if run.profile.own else ""
    return Kind(
        profile=run.profile.name,
        version=f"{(run.suite.commit or run.suite.sha256)[:12]}{own}",
        tier=run.options.tier.value,
        stack=run.options.stack,
        runtime=run.options.runtime.value,
        hardware=", ".join(products)
        or f"{run.machine.cpu or run.machine.architecture}, {run.machine.cores} processors",
    )


def _row(reading: Reading) -> Row:
    quantity = reading.quantity
    about = (quantity.key, quantity.name, quantity.unit, quantity.limit, quantity.higher_is_better)
    return (*about, reading.value, reading.gpu)


def _is_problem(result: Result) -> bool:
    """Whether a requirement did not pass, or was to be measured and was not."""
    if result.outcome is Outcome.NOT_RUN:
        return result.wanted
    return result.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE)


def _problem(result: Result) -> Problem:
    waived = "waived: " if result.waiver else ""
    return Problem(key=result.key, outcome=result.outcome, reason=f"{waived}{result.reason}"[:LONGEST])
