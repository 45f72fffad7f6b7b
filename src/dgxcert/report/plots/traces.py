"""Clock, power and temperature of each GPU over the run, shaded where it was throttled."""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from dgxcert.console import counted
from dgxcert.machine.trace import Point, Trace
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, WARN, WIDTH, Plot, draw

MOST = 16
"""GPUs that are drawn."""
POINTS = 3000
"""Points of all GPUs together; of more, only every n-th is drawn."""
PANELS = {"clock_mhz": ("clock", "MHz"), "power_w": ("power", "W"), "temperature_c": ("temperature", "°C")}
"""The fields of a point that are drawn, each with its name and unit."""
SHORT_S = 120.0
"""Loads that are over within this time are shown in seconds, others in minutes."""
LEAST_WIDTH = 0.01
"""Least width of a shaded interval, as a share of the plot: one sample in an hour would be thinner than a pixel."""


def plots(run: Run) -> list[Plot]:
    """One plot for each GPU that was sampled under load."""
    by_gpu: dict[int, list[Trace]] = {}
    for trace in (trace for result in run.results for trace in result.traces if trace.points):
        by_gpu.setdefault(trace.gpu, []).append(trace)
    began = datetime.fromisoformat(run.started).timestamp()
    drawn = sorted(by_gpu)[:MOST]
    return [_plot(gpu, by_gpu[gpu], POINTS // len(drawn), began) for gpu in drawn]


def _plot(gpu: int, traces: list[Trace], most: int, began: float) -> Plot:
    ordered = sorted((trace.points for trace in traces), key=lambda points: points[0].t)
    step = -(-sum(map(len, ordered)) // most)
    everything = [point for points in ordered for point in points]
    shown = [name for name in PANELS if any(getattr(point, name) is not None for point in everything)]
    axis = TimeAxis.of(everything, began)

    def onto(figure: Any) -> None:
        panels = figure.subplots(len(shown) or 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, shown, strict=False):
            axes.plot(*_line(ordered, name, step, axis), color=ACCENT, solid_capstyle="round")
            axes.set_ylabel("{} ({})".format(*PANELS[name]))
            axes.grid(visible=True, color=FAINT)
            axes.margins(y=0.15)
        width = max((axis.at(everything[-1]) - axis.at(everything[0])) * LEAST_WIDTH / 2, 1e-3)
        for axes in panels:
            for field, colour in (("hot", BAD), ("held_back", WARN)):
                _shade(axes, _intervals(ordered, field, axis, width), colour)
        panels[-1].set_xlabel(f"{axis.unit} since the start of the run")

    alternative = _alternative(gpu, everything, len(ordered))
    return Plot(f"gpu{gpu}", f"GPU {gpu} under load", alternative, draw(f"gpu{gpu}", (WIDTH, 3.9), onto))


@dataclass(frozen=True)
class TimeAxis:
    """Time since the start of the run, in a unit of so many seconds."""

    began: float
    unit: str
    unit_s: float

    @classmethod
    def of(cls, points: list[Point], began: float) -> "TimeAxis":
        """Seconds where the points are close together, else minutes."""
        short = points[-1].t - points[0].t < SHORT_S
        return cls(began, "seconds", 1.0) if short else cls(began, "minutes", 60.0)

    def at(self, point: Point) -> float:
        """Where a point is on this axis."""
        return round((point.t - self.began) / self.unit_s, 4)


def _line(loads: list[tuple[Point, ...]], name: str, step: int, axis: TimeAxis) -> tuple[list[float], list[float]]:
    """A quantity over time: every `step`-th point and the last of each load, with a gap between loads."""
    xs: list[float] = []
    ys: list[float] = []
    for points in loads:
        known = [point for point in points if getattr(point, name) is not None]
        drawn = [*known[:-1:step], *known[-1:]]
        if len(drawn) == 1:
            drawn *= 2  # matplotlib draws a line from a point to itself as a dot, and a single point not at all
        xs += [*(axis.at(point) for point in drawn), float("nan")]
        ys += [*(getattr(point, name) for point in drawn), float("nan")]
    return xs, ys


def _intervals(loads: list[tuple[Point, ...]], field: str, axis: TimeAxis, width: float) -> list[tuple[float, float]]:
    """Intervals on the axis in which a field was set, each `width` longer at both ends, merged where they overlap."""
    intervals: list[tuple[float, float]] = []
    for points in loads:
        for throttled, stretch in groupby(points, key=lambda point: bool(getattr(point, field))):
            at = [axis.at(point) for point in stretch]
            if throttled and intervals and at[0] - width <= intervals[-1][1]:
                intervals[-1] = (intervals[-1][0], at[-1] + width)
            elif throttled:
                intervals.append((at[0] - width, at[-1] + width))
    return intervals


def _shade(axes: Any, intervals: list[tuple[float, float]], colour: str) -> None:
    """Shade intervals as one path: hundreds of separate elements would take most of PLOT_BYTES."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if intervals:
        boxes = Path.make_compound_path(
            *(Path([(a, 0), (b, 0), (b, 1), (a, 1), (a, 0)], closed=True) for a, b in intervals)
        )
        across = axes.get_xaxis_transform()
        axes.add_patch(PathPatch(boxes, color=colour, alpha=0.25, linewidth=0, transform=across))


def _alternative(gpu: int, points: list[Point], loads: int) -> str:
    ranges = []
    for name, (label, unit) in PANELS.items():
        values = [value for point in points if (value := getattr(point, name)) is not None]
        if values:
            ends = dict.fromkeys((f"{min(values):.0f}", f"{max(values):.0f}"))
            ranges.append(f"{label} {' to '.join(ends)} {unit}")
    return (
        f"GPU {gpu} during {counted(loads, 'load')}: "
        f"{', '.join(ranges) or 'the driver reports nothing'}. {_slowed(points)}"
    )


def _slowed(points: list[Point]) -> str:
    """How often the GPU was slowed down, and how that is drawn."""
    known = [point for point in points if point.hot is not None or point.held_back is not None]
    if not known:
        return "The driver does not report whether it was slowed down."
    hot, limited = sum(bool(point.hot) for point in known), sum(bool(point.held_back) for point in known)
    parts = [
        *([f"slowed down for heat in {hot} (red)"] if hot else []),
        *([f"limited by power in {limited} (amber)"] if limited else []),
    ]
    if not parts:
        return f"Neither slowed down for heat nor limited by power in any of {len(known)} intervals."
    return f"Of {len(known)} intervals it was {' and '.join(parts)}."
