"""The roofline plot: each workload at its arithmetic intensity, under the theoretical and the measured peaks.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52 (4), 2009.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from dgxcert.console import printable
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.limit import Roofline
from dgxcert.record.run import Result, Run
from dgxcert.report.plots import ceilings
from dgxcert.report.plots.canvas import ACCENT, FAINT, INK, OTHER, WIDTH, Plot, draw
from dgxcert.report.plots.ceilings import Roof

MARKERS = {"DECODE-SPEED": "o", "PREFILL-SPEED": "s", "LORA-SPEED": "^"}
NAMES = {"DECODE-SPEED": "decode", "PREFILL-SPEED": "prefill", "LORA-SPEED": "LoRA"}
MARGIN = 4.0
"""Factor by which the axis extends beyond the ridge point and the workloads on either side."""


@dataclass(frozen=True)
class Point:
    """One workload: FLOP per byte that it must move, TFLOP/s that it reached, and its share of its bound."""

    id: str
    key: str
    intensity: float
    tflops: float
    share: float


def plot(run: Run) -> Plot | None:
    """The roofline of a run; None where it timed no model or there are no peaks to draw."""
    points = [point for result in run.results if result.id in MARKERS for point in _points(run, result)]
    measured, theoretical = ceilings.of_run(run), ceilings.of_profile(run)
    if ceilings.are_measured(run):
        theoretical = None
    roofs = [
        *([(theoretical[1], INK, "-", f"{theoretical[0]} peak")] if theoretical else []),
        *([(measured, OTHER, "--", "measured")] if measured else []),
    ]
    if not points or not roofs:
        return None

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        xs = [point.intensity for point in points]
        ridges = [roof.tflops * 1e3 / roof.gb_s for roof, *_ in roofs]
        ends = min(*xs, *ridges) / MARGIN, max(*xs, *ridges) * MARGIN
        for roof, colour, line, name in roofs:
            _roof(axes, ends, roof, colour, line, f"{name} {roof.tflops:.3g}")
        for id_, marker in MARKERS.items():
            shown = [(point.intensity, point.tflops) for point in points if point.id == id_]
            if shown:
                axes.plot(*zip(*shown, strict=True), marker, color=ACCENT, label=NAMES[id_], alpha=0.85)
        axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity (FLOP/byte)", ylabel="TFLOP/s")
        axes.margins(y=0.12)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda *_: "")
        axes.grid(visible=True, which="major", color=FAINT)
        _legend(figure, axes.get_lines(), len(roofs))

    alternative = _alternative(run, points, theoretical[1] if theoretical else None, measured)
    return Plot("roofline", "Roofline", alternative, draw("roofline", (WIDTH, 3.0), onto))


def _alternative(run: Run, points: list[Point], theoretical: Roof | None, measured: Roof | None) -> str:
    """What the plot shows in words: which peaks are drawn, and the workload that comes nearest to its bound."""
    drawn, profile = [], printable(run.profile.name)
    if theoretical:
        drawn.append(f"the theoretical peak of profile {profile} (solid, {_described(theoretical)})")
    if measured:
        drawn.append(f"the highest ceilings measured in this run (dashed, {_described(measured)})")
    nearest = max(points, key=lambda point: point.share)
    workloads = "1 workload" if len(points) == 1 else f"{len(points)} workloads"
    none = "" if measured else "; no ceiling was measured in this run"
    because = "" if theoretical else f" Profile {profile} knows no peak of this machine."
    of = "roofline" if theoretical else "own ceiling"
    return (
        f"{workloads} by arithmetic intensity and TFLOP/s reached, under {' and '.join(drawn)}{none}.{because} "
        f"Highest share of its {of}: {printable(nearest.key)}, {nearest.share:.0%}."
    )


def _described(roof: Roof) -> str:
    return f"{roof.gb_s:,.4g} GB/s and {roof.tflops:,.4g} TFLOP/s"


def _roof(axes: Any, ends: tuple[float, float], roof: Roof, colour: str, line: str, label: str) -> None:
    """Attainable TFLOP/s over arithmetic intensity: bound by bandwidth up to the ridge point, by compute beyond."""
    ridge = roof.tflops * 1e3 / roof.gb_s
    xs = sorted({ends[0], min(max(ridge, ends[0]), ends[1]), ends[1]})
    axes.plot(xs, [min(roof.tflops, x * roof.gb_s / 1e3) for x in xs], line, color=colour, linewidth=1.1, label=label)


def _legend(figure: Any, lines: list[Any], roofs: int) -> None:
    """Name workloads in one row and roofs in the next, above the plot: within it, a name would hide a workload."""
    rows = lines[roofs:], lines[:roofs]
    by_column = [line for column in zip_longest(*rows) for line in column if line is not None]
    figure.legend(handles=by_column, frameon=False, loc="outside upper left", ncols=max(map(len, rows)))


def _points(run: Run, result: Result) -> list[Point]:
    """Each timed quantity of a result that has a bound with an arithmetic intensity."""
    bounds = [(item, ceilings.bound(run, item)) for item in result.evidence if item.rounds_s]
    return [
        _point(result.id, result.key, item, bound)
        for item, bound in bounds
        if isinstance(bound, Roofline) and min(bound.value, bound.intensity, bound.tflops) > 0 and _is_rate(item)
    ]


def _point(id_: str, key: str, item: Evidence, bound: Roofline) -> Point:
    share = float(item.value) / bound.value
    return Point(id_, key, bound.intensity, share * bound.tflops, share)


def _is_rate(item: Evidence) -> bool:
    return isinstance(item.value, int | float) and item.value > 0
