"""Evidence: what a requirement measured, in which unit, how, and what it was held against.

A check records quantities through its `evidence` fixture and compares what it gets back:

    clock = evidence.record("SM clock under load", 2411, unit="MHz", source="NVML, 10 s of matmul")
    assert clock >= profile.limit("clock.sm_under_load")

Comparing is what ties a limit to a quantity: the record keeps both, the failure message prints both, and a
test that compared nothing cannot pass.
"""

import math
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dgxcert.judgement.limit import Bound, Limit, Roofline
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive, Wrong

Value = bool | int | float | str
Sign = Literal[">=", "<=", "==", "<", ">"]


class Comparison(BaseModel):
    """One holding of a quantity against a required value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sign: Sign
    name: str
    value: Value
    unit: str
    source: str
    measured: Value
    holds: bool


class Evidence(BaseModel):
    """One measured quantity as it is kept in the run folder."""

    model_config = ConfigDict(extra="forbid")

    name: str
    value: Value
    unit: str
    source: str
    roofline: Roofline | Bound | None = None
    ceiling: Roofline | Bound | None = None
    rounds_s: tuple[float, ...] = ()
    held_against: list[Comparison] = []

    @property
    def violated(self) -> list[Comparison]:
        """The comparisons that do not hold."""
        return [comparison for comparison in self.held_against if not comparison.holds]


class Measured:
    """A recorded quantity that can be compared with a limit, with another quantity, or with a plain fact."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    @property
    def number(self) -> float:
        """The value as a number; raises TypeError when it is a word."""
        if isinstance(self.evidence.value, str):
            raise TypeError(f"{self.evidence.name} is {self.evidence.value!r}, which is no number")
        return float(self.evidence.value)

    def __ge__(self, required: object) -> bool:
        return self._hold(">=", required, lambda mine, theirs: mine >= theirs)

    def __le__(self, required: object) -> bool:
        return self._hold("<=", required, lambda mine, theirs: mine <= theirs)

    def __lt__(self, required: object) -> bool:
        return self._hold("<", required, lambda mine, theirs: mine < theirs)

    def __gt__(self, required: object) -> bool:
        return self._hold(">", required, lambda mine, theirs: mine > theirs)

    def __eq__(self, required: object) -> bool:
        if isinstance(required, Limit):
            if required.equals is None:
                raise Inconclusive(f"limit {required.name} has no `equals` to hold {self.evidence.name} against")
            if required.unit != self.evidence.unit:
                raise self._other_unit(required)
            wanted, source = required.equals, _origin(required)
        elif isinstance(required, bool | int | float | str):
            wanted, source = required, "the requirement itself"
        else:
            raise TypeError(f"compare {self.evidence.name} with a limit or a plain fact, not with {required!r}")
        return self._keep("==", wanted, self.evidence.unit, source, self.evidence.value, self.evidence.value == wanted)

    def __ne__(self, required: object) -> bool:
        raise TypeError(f"say what {self.evidence.name} must be: `!=` says only what it must not be")

    def within(self, limit: Limit) -> bool:
        """Hold the quantity against every edge that a limit has; all of them are recorded."""
        edges: list[bool] = []
        if limit.equals is not None:
            edges.append(bool(self == limit))
        if limit.min is not None:
            edges.append(self >= limit)
        if limit.max is not None:
            edges.append(self <= limit)
        return all(edges)

    def holds(self) -> bool:
        """Hold a yes-or-no fact against yes."""
        return self._keep("==", True, "", "the requirement itself", self.evidence.value, self.evidence.value is True)

    __hash__ = None  # type: ignore[assignment]  # == records, so a Measured must never be a dictionary key

    def __bool__(self) -> bool:
        raise TypeError(f"compare {self.evidence.name} with what it must be: `fact.holds()`, `== word` or `>= limit`")

    def __repr__(self) -> str:
        return f"<{self.evidence.name} is {quantity(self.evidence.value, self.evidence.unit)}>"

    def _hold(self, sign: Sign, required: object, compare: Callable[[float, float], bool]) -> bool:
        if isinstance(required, Measured):
            other = required.evidence
            if other.unit != self.evidence.unit:
                raise TypeError(f"{self.evidence.name} is in {self.evidence.unit!r}, {other.name} in {other.unit!r}")
            wanted, source, mine = required.number, f"{other.name}: {other.source}", self.number
            unit = other.unit
        elif isinstance(required, Limit):
            wanted, source, unit = _edge(sign, required), _origin(required), required.unit
            mine = self._in_unit_of(required)
        else:
            raise TypeError(f"compare {self.evidence.name} with a limit or another quantity, not with {required!r}")
        return self._keep(sign, wanted, unit, source, mine, compare(mine, wanted))

    def _in_unit_of(self, limit: Limit) -> float:
        if limit.unit == self.evidence.unit:
            return self.number
        bound = {OF_ROOFLINE: self.evidence.roofline, OF_CEILING: self.evidence.ceiling}.get(limit.unit)
        if bound is None:
            raise self._other_unit(limit)
        return self.number / bound.value

    def _other_unit(self, limit: Limit) -> Inconclusive:
        return Inconclusive(
            f"limit {limit.name} is in {limit.unit!r}, but {self.evidence.name} was measured in {self.evidence.unit!r}",
            f"Write limit {limit.name} in {self.evidence.unit!r} in the profile.",
        )

    def _keep(self, sign: Sign, wanted: Value, unit: str, source: str, mine: Value, holds: bool) -> bool:
        name = self.evidence.name
        self.evidence.held_against.append(
            Comparison(sign=sign, name=name, value=wanted, unit=unit, source=source, measured=mine, holds=holds)
        )
        return holds


def _edge(sign: Sign, limit: Limit) -> float:
    edge = {">=": limit.min, "<=": limit.max}.get(sign)
    if edge is None:
        wanted = {">=": "min", "<=": "max"}.get(sign, "min or max, compared with >= or <=")
        raise Inconclusive(
            f"limit {limit.name} has no {wanted}: a missing limit is never a pass",
            f"Give limit {limit.name} a {wanted} in the profile.",
        )
    return edge


def _origin(limit: Limit) -> str:
    return f"limit {limit.name}: {limit.source}"


class Recorder:
    """The `evidence` fixture: keeps what one requirement measured, in order."""

    def __init__(self) -> None:
        self.kept: list[Evidence] = []
        self.traces: list[Trace] = []
        self.advice: tuple[str, ...] = ()
        self.key = ""
        """The requirement that this is evidence of."""
        self.say: Callable[[str], None] = lambda _: None
        """Tell whoever waits how far a long requirement has come."""

    def record(
        self,
        name: str,
        value: Value,
        *,
        unit: str = "",
        source: str,
        roofline: Bound | None = None,
        ceiling: Bound | None = None,
        rounds_s: tuple[float, ...] = (),
    ) -> Measured:
        """Keep one quantity and return it for comparing.

        Raises Inconclusive for a number that is not finite: no instrument reads NaN.
        """
        if isinstance(value, float) and not math.isfinite(value):
            raise Inconclusive(f"{name} came out as {value}: the measurement is wrong")
        kept = Evidence(
            name=name, value=value, unit=unit, source=source, roofline=roofline, ceiling=ceiling, rounds_s=rounds_s
        )
        self.kept.append(kept)
        return Measured(kept)

    def advise(self, *remedy: str) -> None:
        """Say what to do about this very finding, in place of the requirement's general remedy, should it fail."""
        self.advice = remedy

    def watched(self, trace: Trace) -> None:
        """Keep what was seen of a GPU while it worked, for a plot; it is held against nothing."""
        self.traces.append(trace)

    def require(self, holds: bool) -> None:
        """Fail the requirement unless a comparison holds; for code outside a check, which must not `assert`."""
        if not holds:
            raise Wrong("what was computed is wrong")

    @property
    def violated(self) -> list[tuple[Evidence, Comparison]]:
        """Every comparison that does not hold, with its quantity."""
        return [(kept, comparison) for kept in self.kept for comparison in kept.violated]

    @property
    def compared(self) -> bool:
        """Whether anything was held against anything."""
        return any(kept.held_against for kept in self.kept)


def quantity(value: Value, unit: str = "") -> str:
    """A value and its unit for people: `91.5 TFLOP/s`, four significant digits."""
    text = str(value)
    if isinstance(value, float):
        text = f"{value:.0f}" if abs(value) >= 10000 else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def violation(evidence: Evidence, comparison: Comparison) -> list[str]:
    """The lines a failure prints: measured, required, and where both come from."""
    measured, required = quantity(comparison.measured, comparison.unit), quantity(comparison.value, comparison.unit)
    if measured == required:  # 13.0004 against 13.0: four digits would hide why it failed
        measured, required = f"{comparison.measured!r} {comparison.unit}", f"{comparison.value!r} {comparison.unit}"
    return [
        f"{evidence.name} is {measured}, required {comparison.sign} {required}",
        f"  measured: {evidence.source}",
        f"  required: {comparison.source}",
    ]
