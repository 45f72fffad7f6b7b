"""The roofline plot: each workload at its arithmetic intensity, under the theoretical and the measured peaks.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52 (4), 2009.
"""

from typing import Any

from dgxcert.console import printable
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.limit import Roofline
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, FAINT, INK, OTHER, Plot, draw

MARKERS = {"DECODE-SPEED": "o", "PREFILL-SPEED": "s", "LORA-SPEED": "^"}
NAMES = {"DECODE-SPEED": "decode", "PREFILL-SPEED": "prefill", "LORA-SPEED": "LoRA training"}
MARGIN = 4.0
"""Factor by which the axis extends beyond the ridge point and the workloads on either side."""


def plot(run: Run) -> Plot | None:
    """The roofline of a run; None where it timed no model or its profile has no peaks."""
    timed = [result for result in run.results if result.id in MARKERS]
    points = [(result.id, result.key, *at) for result in timed for at in _points(result.evidence)]
    bandwidth = run.profile.physical.get("memory_bandwidth")
    peaks = _peaks(run)
    if not points or bandwidth is None or not peaks:
        return None
    measured = _measured(run)
    roofs = {precision: peak for precision, peak in measured.items() if precision in peaks and "read" in measured}
    dashed = " and the peak measured in this run (dashed)" if roofs else "; no peak was measured in this run"

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        xs = [x for *_, x, _ in points]
        ridges = [peak * 1e3 / bandwidth.value for peak in peaks.values()]
        left, right = min(*xs, *ridges) / MARGIN, max(*xs, *ridges) * MARGIN
        for precision, peak in peaks.items():
            _roof(axes, (left, right), bandwidth.value, peak, INK, "-")
            axes.text(right, peak, f"{precision} peak ", va="bottom", ha="right")
        for peak in roofs.values():
            _roof(axes, (left, right), measured["read"], peak, OTHER, "--")
        for requirement, marker in MARKERS.items():
            measurements = [(x, y) for id_, _, _, x, y in points if id_ == requirement]
            if measurements:
                axes.plot(*zip(*measurements, strict=True), marker, color=ACCENT, label=NAMES[requirement], alpha=0.85)
        axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity (FLOP/byte)", ylabel="TFLOP/s")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda *_: "")
        axes.grid(visible=True, which="major", color=FAINT)
        axes.legend(frameon=False, loc="lower right")

    _, key, share, *_ = max(points, key=lambda point: point[2])
    alternative = (
        f"{len(points)} workloads by arithmetic intensity and TFLOP/s reached, under the theoretical peak of profile "
        f"{printable(run.profile.name)} (solid){dashed}. Nearest to its roofline: "
        f"{printable(key)} at {share:.0%}. The list of requirements holds all values."
    )
    return Plot("roofline", "Roofline", alternative, draw("roofline", (7.4, 3.9), onto))


def _peaks(run: Run) -> dict[str, float]:
    """The matmul peak of the profile in TFLOP/s: in bf16, or in fp32 where it has no bf16."""
    peaks = {name.removeprefix("matmul."): bound.value for name, bound in run.profile.physical.items()}
    return next(({name: peaks[name]} for name in ("bf16", "fp32") if name in peaks), {})


def _roof(axes: Any, ends: tuple[float, float], gb_s: float, tflops: float, colour: str, line: str) -> None:
    """Attainable TFLOP/s over arithmetic intensity: bound by bandwidth up to the ridge point, by compute beyond."""
    ridge = tflops * 1e3 / gb_s
    xs = sorted({ends[0], min(max(ridge, ends[0]), ends[1]), ends[1]})
    axes.plot(xs, [min(tflops, x * gb_s / 1e3) for x in xs], line, color=colour, linewidth=1.1)


def _points(evidence: tuple[Evidence, ...]) -> list[tuple[float, float, float]]:
    """Share of its roofline, arithmetic intensity and TFLOP/s of each timed quantity that has one."""
    timed = [(item.roofline, item.value) for item in evidence if item.rounds_s and isinstance(item.roofline, Roofline)]
    shares = [(roofline, float(value) / roofline.value) for roofline, value in timed]
    return [(share, roofline.intensity, share * roofline.tflops) for roofline, share in shares]


def _measured(run: Run) -> dict[str, float]:
    """Matmul in TFLOP/s by precision, and `read` bandwidth in GB/s, as this run measured them."""
    rates: dict[str, float] = {}
    for result in run.results:
        for item in (item for item in result.evidence if item.rounds_s):
            if result.id in {"MATMUL-SPEED", "MEMORY-BANDWIDTH"}:
                rates.setdefault(item.name.split(" ")[0], float(item.value))
    return rates
