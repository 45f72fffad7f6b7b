"""Traces: clock, power and temperature of each GPU over the run, shaded where something held it back."""

from datetime import datetime
from itertools import groupby
from typing import Any

from dgxcert.machine.trace import Point, Trace
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, WARN, Plot, draw

MOST = 16
"""GPUs that are drawn."""
POINTS = 3000
"""Of all GPUs together; beyond that every second one is left out, or every third, until they fit."""
PANELS = (("clock_mhz", "clock (MHz)"), ("power_w", "power (W)"), ("temperature_c", "temperature (°C)"))
LEAST = 0.01
"""A mark of a slowdown is at least so wide, as a share of the picture, or nobody would see it."""


def plots(run: Run) -> list[Plot]:
    """One picture for each GPU that was sampled while it worked."""
    by_gpu: dict[int, list[Trace]] = {}
    for trace in (trace for result in run.results for trace in result.traces if trace.points):
        by_gpu.setdefault(trace.gpu, []).append(trace)
    began = datetime.fromisoformat(run.started).timestamp()
    drawn = sorted(by_gpu)[:MOST]
    return [_plot(gpu, by_gpu[gpu], POINTS // len(drawn), began) for gpu in drawn]


def _plot(gpu: int, traces: list[Trace], most: int, began: float) -> Plot:
    ordered = sorted((trace.points for trace in traces), key=lambda points: points[0].t)
    step = -(-sum(map(len, ordered)) // most)
    known = [(name, label) for name, label in PANELS if any(getattr(p, name) is not None for ps in ordered for p in ps)]
    everything = [point for points in ordered for point in points]

    def onto(figure: Any) -> None:
        panels = figure.subplots(len(known) or 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, label) in zip(panels, known, strict=False):
            axes.plot(*_line(ordered, name, step, began), color=ACCENT, solid_capstyle="round")
            axes.set_ylabel(label)
            axes.grid(visible=True, color=FAINT)
            axes.margins(y=0.15)
        left, right = _minutes(everything[0], began), _minutes(everything[-1], began)
        width = max((right - left) * LEAST / 2, 1e-3)
        for axes in panels:
            for field, colour in (("hot", BAD), ("held_back", WARN)):
                _shade(axes, _marks(ordered, field, began, width), colour)
        panels[-1].set_xlabel("minutes since the run began")

    words = _words(gpu, everything, len(ordered))
    return Plot(f"gpu{gpu}", f"GPU {gpu} while it worked", words, draw(f"gpu{gpu}", (7.4, 4.4), onto))


def _line(loads: list[tuple[Point, ...]], name: str, step: int, began: float) -> tuple[list[float], list[float]]:
    """A figure over time in minutes, every so many points and the last of each load, with a gap between loads."""
    xs: list[float] = []
    ys: list[float] = []
    for points in loads:
        seen = [point for point in points if getattr(point, name) is not None]
        kept = [*seen[:-1:step], *seen[-1:]]
        if len(kept) == 1:
            kept *= 2  # a line from a point to itself is a dot
        xs += [*(_minutes(point, began) for point in kept), float("nan")]
        ys += [*(getattr(point, name) for point in kept), float("nan")]
    return xs, ys


def _marks(traces: list[tuple[Point, ...]], field: str, began: float, width: float) -> list[tuple[float, float]]:
    """Stretches of time in which something held the GPU back, so many minutes wider to either side, none twice."""
    found: list[tuple[float, float]] = []
    for points in traces:
        for held, stretch in groupby(points, key=lambda point: bool(getattr(point, field))):
            at = [_minutes(point, began) for point in stretch]
            if held and found and at[0] - width <= found[-1][1]:
                found[-1] = (found[-1][0], at[-1] + width)
            elif held:
                found.append((at[0] - width, at[-1] + width))
    return found


def _shade(axes: Any, spans: list[tuple[float, float]], colour: str) -> None:
    """Shade stretches of time as one shape: hundreds of shapes of their own would take most of the page."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if spans:
        boxes = Path.make_compound_path(
            *(Path([(a, 0), (b, 0), (b, 1), (a, 1), (a, 0)], closed=True) for a, b in spans)
        )
        across = axes.get_xaxis_transform()
        axes.add_patch(PathPatch(boxes, color=colour, alpha=0.25, linewidth=0, transform=across))


def _minutes(point: Point, began: float) -> float:
    return round((point.t - began) / 60, 4)


def _words(gpu: int, points: list[Point], loads: int) -> str:
    seen = []
    for name, label in PANELS:
        values = [value for point in points if (value := getattr(point, name)) is not None]
        if values:
            seen.append(f"{label} from {min(values):.0f} to {max(values):.0f}")
    hot, held = sum(bool(point.hot) for point in points), sum(bool(point.held_back) for point in points)
    return (
        f"GPU {gpu} during {loads} loads: {', '.join(seen) or 'its driver tells no figure'}. Slowed down for heat in "
        f"{hot} of {len(points)} stretches of time (red), power held back in {held} (yellow)."
    )
