"""The trace: a GPU's clock, power and temperature during one load, downsampled to what a plot can show."""

import statistics
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

MAX_POINTS = 240
"""Points kept of one load: a plot is a few hundred pixels wide."""


class Point(BaseModel):
    """One interval: median clock and power, highest temperature, and the share of samples in which the GPU was slowed.

    A figure is None where this GPU's driver does not report it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    t: float
    """Unix time in seconds, the mean of the interval's samples."""
    clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    hot: float | None = None
    """Share of the samples with a thermal slowdown."""
    held_back: float | None = None
    """Share of the samples with a power cap or a power brake."""


class Trace(BaseModel):
    """The points of one load of one GPU, in order of time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: int
    points: tuple[Point, ...]


def downsample(gpu: int, points: Sequence[Point]) -> Trace:
    """A trace of at most MAX_POINTS, each merged from the same number of neighbouring points.

    >>> trace = downsample(0, [Point(t=number / 10, temperature_c=50 + number % 3) for number in range(480)])
    >>> len(trace.points), trace.points[1].temperature_c
    (240, 52.0)
    """
    size = -(-len(points) // MAX_POINTS) or 1
    intervals = (points[at : at + size] for at in range(0, len(points), size))
    return Trace(gpu=gpu, points=tuple(_merged(interval) for interval in intervals))


def _merged(interval: Sequence[Point]) -> Point:
    """One point for several. A median would hide a short slowdown: shares are means, temperature is the highest."""
    return Point(
        t=round(statistics.fmean(point.t for point in interval), 3),
        clock_mhz=_of_known(statistics.median, [point.clock_mhz for point in interval]),
        power_w=_of_known(statistics.median, [point.power_w for point in interval]),
        temperature_c=_of_known(max, [point.temperature_c for point in interval]),
        hot=_of_known(statistics.fmean, [point.hot for point in interval]),
        held_back=_of_known(statistics.fmean, [point.held_back for point in interval]),
    )


def _of_known(summary: Callable[[list[float]], float], values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(summary(known)), 4) if known else None
