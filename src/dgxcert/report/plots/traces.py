"""Traces: clock, power and temperature of each GPU over the run, shaded where something held it back."""

from datetime import datetime
from typing import Any

from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, WARN, Plot, draw
from dgxcert.run import Run
from dgxcert.trace import Point, Trace

MOST = 16
"""GPUs that are drawn."""
POINTS = 1500
"""Of one GPU; beyond that every second one is left out, until they fit."""
PANELS = (("clock_mhz", "clock (MHz)"), ("power_w", "power (W)"), ("temperature_c", "temperature (°C)"))
LEAST_MIN = 0.02
"""A mark of a slowdown is at least so wide, as a share of the picture, or nobody would see it."""


def plots(run: Run) -> list[Plot]:
    """One picture for each GPU that was sampled while it worked."""
    by_gpu: dict[int, list[Trace]] = {}
    for trace in (trace for result in run.results for trace in result.traces if trace.points):
        by_gpu.setdefault(trace.gpu, []).append(trace)
    began = datetime.fromisoformat(run.started).timestamp()
    return [_plot(gpu, by_gpu[gpu], began) for gpu in sorted(by_gpu)[:MOST]]


def _plot(gpu: int, traces: list[Trace], began: float) -> Plot:
    ordered = sorted((_thinned(trace, len(traces)) for trace in traces), key=lambda points: points[0].t)
    known = [(name, label) for name, label in PANELS if any(getattr(p, name) is not None for ps in ordered for p in ps)]
    everything = [point for points in ordered for point in points]

    def onto(figure: Any) -> None:
        panels = figure.subplots(len(known) or 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, label) in zip(panels, known, strict=False):
            for points in ordered:
                seen = [(_minutes(p, began), getattr(p, name)) for p in points if getattr(p, name) is not None]
                axes.plot(*zip(*seen, strict=True), color=ACCENT, marker=".", markersize=2.5) if seen else None
            axes.set_ylabel(label)
            axes.grid(visible=True, color=FAINT)
            axes.margins(y=0.15)
        left, right = _minutes(everything[0], began), _minutes(everything[-1], began)
        width = max((right - left) * LEAST_MIN / 4, 1e-3)
        for axes in panels:
            for field, colour in (("hot", BAD), ("held_back", WARN)):
                for point in everything:
                    if getattr(point, field):
                        at = _minutes(point, began)
                        axes.axvspan(at - width, at + width, color=colour, alpha=0.25, linewidth=0)
        panels[-1].set_xlabel("minutes since the run began")

    words = _words(gpu, everything, len(ordered))
    return Plot(f"gpu{gpu}", f"GPU {gpu} while it worked", words, draw(f"gpu{gpu}", (7.4, 4.4), onto))


def _thinned(trace: Trace, of: int) -> tuple[Point, ...]:
    """So few of its points that all traces of a GPU stay readable and small; what held it back stays."""
    step = -(-len(trace.points) * of // POINTS) or 1
    return tuple(p for at, p in enumerate(trace.points) if at % step == 0 or p.hot or p.held_back)


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
