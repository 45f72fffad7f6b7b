"""A limit: the number a quantity must reach, with its unit and where the number comes from."""

from pydantic import BaseModel, ConfigDict, model_validator


class Limit(BaseModel):
    """At least one of `min`, `max` and `equals`, in one unit, with a source. Comparing lives in `evidence`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    min: float | None = None
    max: float | None = None
    equals: float | str | bool | None = None
    unit: str
    source: str

    @model_validator(mode="after")
    def _says_something(self) -> "Limit":
        if self.min is None and self.max is None and self.equals is None:
            raise ValueError("a limit needs `min`, `max` or `equals`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if not self.source.strip():
            raise ValueError("`source` must say where the number comes from")
        return self


class Bound(BaseModel):
    """A value that physics does not let a quantity exceed, and how it was derived."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    unit: str
    source: str


class Roofline(Bound):
    """A bound that comes from a workload's bytes and operations, with what a roofline plot needs of it."""

    intensity: float
    """Floating-point operations per byte that must be moved."""
    tflops: float
    """What the bound is in TFLOP/s."""
