"""A limit: the number a quantity must reach, with its unit, its basis and where the number comes from."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, model_validator


class Basis(StrEnum):
    """How a number came about."""

    MEASURED = "measured"
    """Read on a machine by this suite or by the driver."""
    PUBLISHED = "published"
    """Stated by a data sheet, the maker's documents or users' public reports."""
    DERIVED = "derived"
    """Concluded from other figures. A derived speed is provisional: it was not measured on a known-good machine."""


NOT_STATED = "not stated"
"""How a limit without a basis is counted: never as one of the three."""


class Limit(BaseModel):
    """At least one of `min`, `max` and `equals`, in one unit, with a source. `evidence.Quantity` compares.

    >>> Limit(name="decode.fp16", min=13, unit="token/s", source="85 % of 273 GB/s over 16.1 GB per token").min
    13.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    min: float | None = None
    max: float | None = None
    equals: float | str | bool | None = None
    unit: str
    source: str
    basis: Basis | None = None
    """None where it is not stated: in a user's own profile, in runs before 0.2, and for a tolerance of arithmetic."""

    @model_validator(mode="after")
    def _is_complete(self) -> "Limit":
        if self.min is None and self.max is None and self.equals is None:
            raise ValueError("a limit needs `min`, `max` or `equals`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if not self.source.strip():
            raise ValueError("`source` must say where the number comes from")
        return self


class Bound(BaseModel):
    """A value that a quantity cannot physically exceed, and how it was derived."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    unit: str
    source: str


class Roofline(Bound):
    """A bound derived from a workload's bytes and operations, with what a roofline plot shows of it."""

    intensity: float
    """Floating-point operations per byte that must be moved."""
    tflops: float
    """The bound in TFLOP/s."""
