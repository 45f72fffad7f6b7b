"""Trace: a GPU's clock, power and temperature over the time of one load, thinned to what a plot can show."""

import statistics
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

MOST = 240
"""Points that are kept of one load; a plot is a few hundred pixels wide."""


class Point(BaseModel):
    """One stretch of time: medians, the highest temperature, and the share of it in which something held the GPU back.

    A figure is None where this GPU's driver has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    t: float
    """Seconds since 1970, at the middle of the stretch."""
    clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    hot: float | None = None
    """Share of the samples in which the GPU slowed itself down for heat."""
    held_back: float | None = None
    """Share of the samples in which power was capped or braked."""


class Trace(BaseModel):
    """All points of one load of one GPU, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: int
    points: tuple[Point, ...]


def downsample(gpu: int, points: Sequence[Point]) -> Trace:
    """The trace of any number of points: at most MOST, each standing for neighbours in equal number."""
    size = -(-len(points) // MOST) or 1
    stretches = (points[at : at + size] for at in range(0, len(points), size))
    return Trace(gpu=gpu, points=tuple(_merged(stretch) for stretch in stretches))


def _merged(stretch: Sequence[Point]) -> Point:
    """One point for several: a short slowdown must not vanish, so that shares are means and heat is the highest."""
    return Point(
        t=round(statistics.fmean(point.t for point in stretch), 3),
        clock_mhz=_of_known(statistics.median, [point.clock_mhz for point in stretch]),
        power_w=_of_known(statistics.median, [point.power_w for point in stretch]),
        temperature_c=_of_known(max, [point.temperature_c for point in stretch]),
        hot=_of_known(statistics.fmean, [point.hot for point in stretch]),
        held_back=_of_known(statistics.fmean, [point.held_back for point in stretch]),
    )


def _of_known(summary: Callable[[list[float]], float], values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(summary(known)), 4) if known else None
