"""Clock, power and temperature of each GPU over the run, shaded where it was throttled."""

from datetime import datetime
from itertools import groupby
from typing import Any

from dgxcert.machine.trace import Point, Trace
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, WARN, WIDTH, Plot, draw

MOST = 16
"""GPUs that are drawn."""
POINTS = 3000
"""Points of all GPUs together; of more, only every n-th is drawn."""
PANELS = (("clock_mhz", "clock (MHz)"), ("power_w", "power (W)"), ("temperature_c", "temperature (°C)"))
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
    shown = [(name, label) for name, label in PANELS if any(getattr(p, name) is not None for ps in ordered for p in ps)]
    everything = [point for points in ordered for point in points]

    def onto(figure: Any) -> None:
        panels = figure.subplots(len(shown) or 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, label) in zip(panels, shown, strict=False):
            axes.plot(*_line(ordered, name, step, began), color=ACCENT, solid_capstyle="round")
            axes.set_ylabel(label)
            axes.grid(visible=True, color=FAINT)
            axes.margins(y=0.15)
        left, right = _minutes(everything[0], began), _minutes(everything[-1], began)
        width = max((right - left) * LEAST_WIDTH / 2, 1e-3)
        for axes in panels:
            for field, colour in (("hot", BAD), ("held_back", WARN)):
                _shade(axes, _intervals(ordered, field, began, width), colour)
        panels[-1].set_xlabel("minutes since the start of the run")

    alternative = _alternative(gpu, everything, len(ordered))
    return Plot(f"gpu{gpu}", f"GPU {gpu} under load", alternative, draw(f"gpu{gpu}", (WIDTH, 3.9), onto))


def _line(loads: list[tuple[Point, ...]], name: str, step: int, began: float) -> tuple[list[float], list[float]]:
    """A quantity over minutes: every `step`-th point and the last of each load, with a gap between loads."""
    xs: list[float] = []
    ys: list[float] = []
    for points in loads:
        known = [point for point in points if getattr(point, name) is not None]
        drawn = [*known[:-1:step], *known[-1:]]
        if len(drawn) == 1:
            drawn *= 2  # matplotlib draws a line from a point to itself as a dot, and a single point not at all
        xs += [*(_minutes(point, began) for point in drawn), float("nan")]
        ys += [*(getattr(point, name) for point in drawn), float("nan")]
    return xs, ys


def _intervals(loads: list[tuple[Point, ...]], field: str, began: float, width: float) -> list[tuple[float, float]]:
    """Intervals in minutes in which a field was set, each `width` longer at both ends, merged where they overlap."""
    intervals: list[tuple[float, float]] = []
    for points in loads:
        for throttled, stretch in groupby(points, key=lambda point: bool(getattr(point, field))):
            at = [_minutes(point, began) for point in stretch]
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


def _minutes(point: Point, began: float) -> float:
    return round((point.t - began) / 60, 4)


def _alternative(gpu: int, points: list[Point], loads: int) -> str:
    ranges = []
    for name, label in PANELS:
        values = [value for point in points if (value := getattr(point, name)) is not None]
        if values:
            ranges.append(f"{label} from {min(values):.0f} to {max(values):.0f}")
    hot, limited = sum(bool(point.hot) for point in points), sum(bool(point.held_back) for point in points)
    return (
        f"GPU {gpu} during {loads} load{'' if loads == 1 else 's'}: "
        f"{', '.join(ranges) or 'the driver reports nothing'}. Thermal slowdown in "
        f"{hot} of {len(points)} intervals (red), power limited in {limited} (yellow)."
    )
