"""Evidence: what a requirement measured, in which unit, how, and what it was compared with.

A check records quantities through its `evidence` fixture and compares what it gets back:

>>> evidence = Recorder()
>>> limit = Limit(name="clock.under_load", min=2000, unit="MHz", source="GB10 works at 2.4 GHz")
>>> clock = evidence.record("SM clock under load", 2411, unit="MHz", source="NVML, 10 s of matmul")
>>> clock >= limit
True

Comparing ties a limit to a quantity: the record keeps both, the failure message prints both, and a test that compares
nothing cannot pass.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from dgxcert.judgement.limit import Bound, Limit, Roofline
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive, Wrong

MOST_BITS = 1023
"""Of an integer that a float can hold."""


def _fits(value: bool | int | float | str) -> bool | int | float | str:
    """Refuse an integer that no float can hold: it can be neither compared nor shown."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits is no measurement")
    return value


Value = Annotated[bool | int | float | str, AfterValidator(_fits)]
"""A finite value, exactly of one of these types."""
OF_LIMIT = "limit "
"""How the source of a comparison with a limit begins; the limit's name follows, then its own source."""
Sign = Literal[">=", "<=", "==", "<", ">"]


class Comparison(BaseModel):
    """One comparison of a quantity with a required value."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sign: Sign
    name: str
    value: Value
    unit: str
    source: str
    measured: Value
    holds: bool

    @property
    def limit(self) -> str | None:
        """Name of the limit that the quantity was compared with; None where it was something else.

        >>> about = {"sign": ">=", "name": "decode", "value": 13, "unit": "token/s", "measured": 14, "holds": True}
        >>> Comparison(**about, source="limit decode.fp16: 85 % of 273 GB/s").limit
        'decode.fp16'
        """
        name, colon, _ = self.source.removeprefix(OF_LIMIT).partition(":")
        return name if colon and self.source.startswith(OF_LIMIT) else None


class Evidence(BaseModel):
    """One measured quantity, as the run folder keeps it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

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


class Quantity:
    """A recorded quantity, to be compared with a limit, with another quantity, or with a plain fact.

    >>> driver = Recorder().record("driver branch", 580, unit="driver branch", source="NVML")
    >>> driver >= Limit(name="driver.branch", min=570, unit="driver branch", source="CUDA 12.8 release notes")
    True
    >>> driver == 570
    False
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    @property
    def number(self) -> float:
        """The value as a number. Raises TypeError where it is text, or yes or no."""
        if isinstance(self.evidence.value, str | bool):
            raise TypeError(f"{self.evidence.name} is {self.evidence.value!r}, which is not a number")
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
                raise Inconclusive(f"limit {required.name} has no `equals` to compare {self.evidence.name} with")
            if required.unit != self.evidence.unit:
                raise self._other_unit(required)
            wanted, source = required.equals, _origin(required)
        elif isinstance(required, bool | int | float | str):
            wanted, source = plain("the required value", required), "the requirement itself"
        else:
            raise TypeError(f"compare {self.evidence.name} with a limit or a plain fact, not with {required!r}")
        mine = self.evidence.value
        # To Python, True == 1 and "1" != 1: neither says anything about the machine.
        if _form(mine) is not _form(wanted):
            raise TypeError(f"{self.evidence.name} is {mine!r}, which cannot be compared with {wanted!r}")
        return self._keep("==", wanted, self.evidence.unit, source, mine, mine == wanted)

    def __ne__(self, required: object) -> bool:
        raise TypeError(f"compare {self.evidence.name} with what it must be: `!=` names only what it must not be")

    def within(self, limit: Limit) -> bool:
        """Compare the quantity with every edge that a limit has; all of them are recorded.

        >>> temperature = Recorder().record("temperature", 71, unit="°C", source="NVML")
        >>> temperature.within(Limit(name="temperature.under_load", min=20, max=85, unit="°C", source="data sheet"))
        True
        """
        edges: list[bool] = []
        if limit.equals is not None:
            edges.append(bool(self == limit))
        if limit.min is not None:
            edges.append(self >= limit)
        if limit.max is not None:
            edges.append(self <= limit)
        return all(edges)

    def holds(self) -> bool:
        """Whether a yes-or-no fact is true. Raises TypeError where it is a number or text.

        >>> Recorder().record("torch sees the GPU", True, source="torch.cuda.is_available()").holds()
        True
        """
        if not isinstance(self.evidence.value, bool):
            raise TypeError(f"{self.evidence.name} is {self.evidence.value!r}, which is neither true nor false")
        return self._keep("==", True, "", "the requirement itself", self.evidence.value, self.evidence.value is True)

    __hash__ = None  # type: ignore[assignment]  # == records, so that a Quantity must never be a dictionary key

    def __bool__(self) -> bool:
        raise TypeError(f"compare {self.evidence.name} with what it must be: `fact.holds()`, `== word` or `>= limit`")

    def __repr__(self) -> str:
        return f"<{self.evidence.name} is {format_quantity(self.evidence.value, self.evidence.unit)}>"

    def _hold(self, sign: Sign, required: object, compare: Callable[[float, float], bool]) -> bool:
        if isinstance(required, Quantity):
            other = required.evidence
            if other.unit != self.evidence.unit:
                raise TypeError(f"{self.evidence.name} is in {self.evidence.unit!r}, {other.name} in {other.unit!r}")
            wanted, source, mine = required.number, f"{other.name}: {other.source}", self.number
            unit = other.unit
        elif isinstance(required, Limit):
            wanted, source, unit = _edge(sign, required), _origin(required), required.unit
            mine = self._in_unit_of(required)
        else:
            raise Inconclusive(
                f"{self.evidence.name} is compared with the bare {required!r}, which says neither unit nor source",
                f"Write `{sign} profile.limit('NAME')`, and declare NAME with number, unit and source in the profile.",
            )
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


def plain(name: str, value: object) -> Value:
    """A value as a Python bool, int, float or str.

    NumPy scalars and tensors without dimensions become the number that they hold. Raises TypeError for anything else,
    and Inconclusive for a number that is not finite or that no float can hold.

    >>> plain("tokens", True), plain("tokens", 128), plain("tokens", "stop")
    (True, 128, 'stop')
    """
    # float64 of NumPy is a float, float32 is not: only `item()` makes both what a record can hold and compare.
    if not isinstance(value, bool | str) and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]  # numpy.generic, numpy.ndarray or torch.Tensor
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}: record a bool, int, float or str, or a scalar that holds one")
    number = int(value) if isinstance(value, int) else float(value)
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        found = number if isinstance(number, float) else "an integer that no float can hold"
        raise Inconclusive(f"{name} is {found}: the measurement is wrong")
    return number


def _form(value: Value) -> type:
    """bool, str, or float for every number: only values of one form can be equal."""
    return type(value) if isinstance(value, bool | str) else float


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
    return f"{OF_LIMIT}{limit.name}: {limit.source}"


class Recorder:
    """The `evidence` fixture: records what one requirement measured, in order."""

    def __init__(self) -> None:
        self.kept: list[Evidence] = []
        self.traces: list[Trace] = []
        self.advice: tuple[str, ...] = ()
        self._disturbed: dict[str, str] = {}
        self.key = ""
        """The requirement that this is the evidence of."""
        self.say: Callable[[str], None] = lambda _: None
        """Report to the user how far a long requirement has come: `evidence.say("12 of 30 min")`."""

    def record(
        self,
        name: str,
        value: object,
        *,
        unit: str = "",
        source: str,
        roofline: Bound | None = None,
        ceiling: Bound | None = None,
        rounds_s: tuple[float, ...] = (),
    ) -> Quantity:
        """Record one quantity and return it for comparing.

        `source` says how it was measured. `roofline` and `ceiling` are the bounds that a limit in shares of them
        refers to. Raises Inconclusive for a number that is not finite (no instrument reads NaN), and TypeError for what
        `plain` refuses.

        >>> Recorder().record("decode", 91.53, unit="token/s", source="median of 10 rounds of 128 tokens")
        <decode is 91.53 token/s>
        """
        kept = Evidence(
            name=name,
            value=plain(name, value),
            unit=unit,
            source=source,
            roofline=roofline,
            ceiling=ceiling,
            rounds_s=rounds_s,
        )
        self.kept.append(kept)
        return Quantity(kept)

    def advise(self, *remedy: str) -> None:
        """Set the remedy for this finding, which replaces the requirement's own should the test fail.

        >>> Recorder().advise("GPU 1 has a page pending retirement: reset it with `nvidia-smi --gpu-reset -i 1`.")
        """
        self.advice = remedy

    def disturbed(self, quantity: Quantity, why: str) -> None:
        """Say what disturbed a measurement, which lets a value that violates its limit prove nothing.

        >>> evidence = Recorder()
        >>> rate = evidence.record("decode", 9.8, unit="token/s", source="10 rounds of 128 tokens")
        >>> evidence.disturbed(rate, "other processes used 61% of the CPU")
        >>> rate >= Limit(name="decode.fp16", min=13, unit="token/s", source="data sheet")
        False
        >>> evidence.disturbance
        'other processes used 61% of the CPU'
        """
        self._disturbed[quantity.evidence.name] = why

    @property
    def disturbance(self) -> str:
        """What disturbed the quantities that violate a limit; empty where one of them was measured undisturbed."""
        names = {kept.name for kept, _ in self.violated}
        undisturbed = names - self._disturbed.keys()
        return "" if undisturbed else "; ".join(sorted({self._disturbed[name] for name in names}))

    def keep_trace(self, *traces: Trace) -> None:
        """Keep samples of GPUs under load, for a plot; they are not compared with anything.

        >>> evidence = Recorder()
        >>> evidence.keep_trace(Trace(gpu=0, points=()))
        >>> evidence.traces
        [Trace(gpu=0, points=())]
        """
        self.traces.extend(traces)

    def require(self, holds: bool) -> None:
        """Fail the requirement unless a comparison holds; for code in `src`, which must not `assert`.

        >>> evidence = Recorder()
        >>> evidence.require(evidence.record("tokens", 128, source="generate()") == 128)
        """
        if not holds:
            raise Wrong("what was computed is wrong")

    @property
    def violated(self) -> list[tuple[Evidence, Comparison]]:
        """Every comparison that does not hold, with its quantity."""
        return [(kept, comparison) for kept in self.kept for comparison in kept.violated]

    @property
    def compared(self) -> bool:
        """Whether anything was compared with anything."""
        return any(kept.held_against for kept in self.kept)


def format_quantity(value: Value, unit: str = "") -> str:
    """A value and its unit for people, with four significant digits.

    >>> format_quantity(91.5234, "TFLOP/s"), format_quantity(True), format_quantity(580, "driver branch")
    ('91.52 TFLOP/s', 'True', '580 driver branch')
    """
    text = str(value)
    if isinstance(value, float):
        text = f"{value:.0f}" if abs(value) >= 10000 else f"{value:.4g}"
    return f"{text} {unit}".rstrip()


def violation(evidence: Evidence, comparison: Comparison) -> list[str]:
    """The lines a failure prints: measured, required, and where both come from."""
    measured = format_quantity(comparison.measured, comparison.unit)
    required = format_quantity(comparison.value, comparison.unit)
    if measured == required:  # 12.9996 and 13.0: four digits would hide why it failed
        measured, required = f"{comparison.measured!r} {comparison.unit}", f"{comparison.value!r} {comparison.unit}"
    return [
        f"{evidence.name} is {measured}, required {comparison.sign} {required}",
        f"  measured: {evidence.source}",
        f"  required: {comparison.source}",
    ]
