"""Quantity: a limit or peak as a profile's file writes it, with unit, basis and source; limits come from readings."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dgxcert.judgement.limit import Basis, Bound, Limit
from dgxcert.judgement.units import SPEEDS
from dgxcert.profiles.workload_sizes import Part

DIGITS = 2
"""Significant digits of a computed limit where `digits` is not given: margins are not known any better."""


MAX_NAMED = 3
"""Readings that a source names one by one."""


class Quantity(Part):
    """The fields that every number of a profile has."""

    unit: str
    basis: Basis | None = None
    """None in a user's own profile that says everything in `source`: reports count it as not stated."""
    source: str
    note: str = ""

    @field_validator("source")
    @classmethod
    def _not_blank(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("must say where the number comes from")
        return source

    @property
    def origin(self) -> str:
        """Where the number comes from, without its basis."""
        return "; ".join(part for part in (self.source, self.note) if part)

    def recorded(self, name: str) -> Limit | Bound:
        """The quantity as runs record it, with its source in one sentence."""
        raise NotImplementedError


class WrittenPeak(Quantity):
    """A physical peak, or an amount of memory.

    >>> peak = WrittenPeak(value=4800, unit="GB/s", basis="published", source="NVIDIA H200 data sheet, HBM3e")
    >>> peak.recorded("memory_bandwidth").source
    'published: NVIDIA H200 data sheet, HBM3e'
    """

    value: float

    def recorded(self, name: str) -> Bound:  # noqa: ARG002 (a peak is recorded without its name)
        """The peak as runs record it."""
        source = f"{self.basis}: {self.origin}" if self.basis else self.origin
        return Bound(value=self.value, unit=self.unit, source=source)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class WrittenLimit(Quantity):
    """A limit: `min`, `max` and `equals` as they are, or one edge computed from `reading` and `margin`.

    >>> copy = WrittenLimit(reading=[4297, 4258], margin=0.11, unit="GB/s", basis="measured", source="one H200")
    >>> limit = copy.recorded("bandwidth.copy")
    >>> limit.min, limit.unit, limit.source
    (3800.0, 'GB/s', 'measured: 4297 and 4258 GB/s, the lowest less 11 %; one H200')
    """

    name: str | None = None
    """Repeats the key in a profile that was copied from a run.json."""
    min: float | None = None
    max: float | None = None
    equals: float | str | bool | None = None
    reading: Annotated[tuple[float, ...], BeforeValidator(_as_list)] = ()
    """What was measured, published or derived: one number or several, of which the worst counts."""
    margin: float | None = Field(default=None, ge=0, le=10)
    """How far from the reading the limit is, as a share of it."""
    direction: Literal["min", "max"] = "min"
    """Whether the limit is a minimum, `margin` below the lowest reading, or a maximum, above the highest."""
    assumed: bool = False
    """Whether it was set without a figure of a machine of this type at this work: of another type, or of paper.

    What is assumed rejects nothing but what is clearly slow, so that no profile with one certifies.
    """
    digits: int = Field(default=DIGITS, ge=1)
    """Significant digits that the computed limit is rounded to."""

    @model_validator(mode="after")
    def _one_form(self) -> "WrittenLimit":
        if isinstance(self.equals, str) and self.equals.lower() in ("yes", "no", "on", "off", "y", "n"):
            raise ValueError(f"equals: wanted true or false, or a text, found {self.equals}")
        edges = [name for name in ("min", "max", "equals") if getattr(self, name) is not None]
        if not self.reading and not edges:
            raise ValueError("a limit needs `min`, `max` or `equals`, or `reading` and `margin`")
        if self.reading and edges:
            raise ValueError(f"`reading` and `{edges[0]}`: wanted one of them, found both")
        if self.reading and self.margin is None:
            raise ValueError("`reading` needs a `margin`")
        unused = [name for name in ("margin", "direction", "digits") if name in self.model_fields_set]
        if not self.reading and unused:
            raise ValueError(f"`{unused[0]}` is for a limit that is computed from a `reading`, and there is none")
        if self.assumed and self.basis is not Basis.DERIVED:
            raise ValueError(f"assumed: what is not derived is not assumed, found basis {self.basis or 'not stated'}")
        if self.reading and self.direction == "min" and (self.margin or 0) >= 1:
            raise ValueError(f"margin: wanted less than 1 below a reading, found {self.margin:g}")
        return self

    def recorded(self, name: str) -> Limit:
        """The limit as runs record it, its source in one sentence."""
        edges: dict[str, Any] = {"min": self.min, "max": self.max, "equals": self.equals}
        if self.reading:
            edges = {self.direction: self._computed}
        return Limit(name=name, **edges, unit=self.unit, source=self._sentence(name), basis=self.basis)

    @property
    def origin(self) -> str:
        """Where the number comes from, without its basis: readings and margin, source, note."""
        return f"{self._readings}; {super().origin}" if self.reading else super().origin

    @property
    def _computed(self) -> float:
        margin = self.margin or 0.0
        value = min(self.reading) * (1 - margin) if self.direction == "min" else max(self.reading) * (1 + margin)
        return float(f"{value:.{self.digits}g}")

    @property
    def _readings(self) -> str:
        """`4258 and 4297 GB/s, the lowest less 11 %`."""
        sign, worst = ("less", "lowest") if self.direction == "min" else ("plus", "highest")
        values = [f"{value:.10g}" for value in self.reading]
        if len(values) > MAX_NAMED:
            values = [f"{len(values)} readings from {min(self.reading):.10g} to {max(self.reading):.10g}"]
        readings = f"{' and '.join(values)} {self.unit}"
        which = f", the {worst}" if len(self.reading) > 1 else ""
        return f"{readings}{which} {sign} {100 * (self.margin or 0.0):.4g} %"

    def _sentence(self, name: str) -> str:
        if self.basis is None:
            return self.origin
        provisional = self.basis is Basis.DERIVED and name.split(".")[0] in SPEEDS
        label = f"{self.basis}{' (assumed)' if self.assumed else ' (provisional)' if provisional else ''}: "
        # the source of a limit that was copied from a run.json begins with its basis already
        copied = self.origin.startswith((f"{self.basis}: ", f"{self.basis} ("))
        return self.origin if copied else f"{label}{self.origin}"
