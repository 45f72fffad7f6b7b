"""The roofline: each workload at its operations per byte, under the profile's peaks and those that were measured."""

from typing import Any

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.limit import Roofline
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, FAINT, INK, OTHER, Plot, draw
from dgxcert.report.words import printable

MARKERS = {"DECODE-SPEED": "o", "PREFILL-SPEED": "s", "LORA-SPEED": "^"}
WORDS = {"DECODE-SPEED": "decode", "PREFILL-SPEED": "prefill", "LORA-SPEED": "LoRA training"}
WIDEST = 4.0
"""The axis of operations per byte reaches at least so far around the knee, as a factor."""


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
    dashed = "the one measured in this run (dashed)" if roofs else "none measured in this run"

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        xs = [x for *_, x, _ in points]
        knees = [peak * 1e3 / bandwidth.value for peak in peaks.values()]
        left, right = min(*xs, *knees) / WIDEST, max(*xs, *knees) * WIDEST
        for precision, peak in peaks.items():
            _roof(axes, (left, right), bandwidth.value, peak, INK, "-")
            axes.text(right, peak, f"{precision} peak ", va="bottom", ha="right")
        for peak in roofs.values():
            _roof(axes, (left, right), measured["read"], peak, OTHER, "--")
        for requirement, marker in MARKERS.items():
            mine = [(x, y) for id_, _, x, y in points if id_ == requirement]
            if mine:
                axes.plot(*zip(*mine, strict=True), marker, color=ACCENT, label=WORDS[requirement], alpha=0.85)
        axes.set(xscale="log", yscale="log", xlabel="operations per byte (FLOP/byte)", ylabel="TFLOP/s")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda *_: "")
        axes.grid(visible=True, which="major", color=FAINT)
        axes.legend(frameon=False, loc="lower right")

    nearest = max(points, key=lambda point: _share(run, point[1]))
    words = (
        f"{len(points)} workloads by operations per byte and TFLOP/s reached, under the peak of profile "
        f"{printable(run.profile.name)} (solid) and {dashed}. Nearest to its roof: "
        f"{printable(nearest[1])} with {_share(run, nearest[1]):.0%}. The table of requirements holds every figure."
    )
    return Plot("roofline", "Roofline", words, draw("roofline", (7.4, 3.9), onto))


def _peaks(run: Run) -> dict[str, float]:
    """The roof of the profile: of products in 16 bits, or in 32 where a machine computes in no fewer."""
    known = {name.removeprefix("matmul."): bound.value for name, bound in run.profile.physical.items()}
    return next(({name: known[name]} for name in ("bf16", "fp32") if name in known), {})


def _roof(axes: Any, ends: tuple[float, float], gb_s: float, tflops: float, colour: str, line: str) -> None:
    """What can be reached at any operations per byte: by bandwidth up to the knee, by products beyond."""
    knee = tflops * 1e3 / gb_s
    xs = sorted({ends[0], min(max(knee, ends[0]), ends[1]), ends[1]})
    axes.plot(xs, [min(tflops, x * gb_s / 1e3) for x in xs], line, color=colour, linewidth=1.1)


def _points(evidence: tuple[Evidence, ...]) -> list[tuple[float, float]]:
    """Operations per byte and TFLOP/s of what was timed, where its bytes and operations are known."""
    return [
        (item.roofline.intensity, float(item.value) / item.roofline.value * item.roofline.tflops)
        for item in evidence
        if item.rounds_s and isinstance(item.roofline, Roofline)
    ]


def _share(run: Run, key: str) -> float:
    result = next(result for result in run.results if result.key == key)
    return max(float(item.value) / item.roofline.value for item in result.evidence if item.rounds_s and item.roofline)


def _measured(run: Run) -> dict[str, float]:
    """Products in TFLOP/s by precision, and reads in GB/s, as this run measured them."""
    found: dict[str, float] = {}
    for result in run.results:
        for item in (item for item in result.evidence if item.rounds_s):
            if result.id in {"MATMUL-SPEED", "MEMORY-BANDWIDTH"}:
                found.setdefault(item.name.split(" ")[0], float(item.value))
    return found
