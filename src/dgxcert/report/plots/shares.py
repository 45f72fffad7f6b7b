"""Bars of each benchmark's share of its theoretical peak, with the limit of the profile."""

from typing import Any

from dgxcert.console import printable
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, INK, WARN, Plot, draw, label

MOST = 80
"""Bars that are drawn; benchmarks that did not pass come first."""
COLOURS = {Outcome.FAILED: BAD, Outcome.INCONCLUSIVE: WARN}


def plot(run: Run) -> Plot | None:
    """Bars of a run's benchmarks; None where none has a roofline."""
    timed = [(result, item) for result in run.results for item in _timed(result)]
    bars = sorted(timed, key=lambda pair: (pair[0].outcome is Outcome.PASSED, pair[0].key))[:MOST]
    if not bars:
        return None

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        rows = range(len(bars))
        axes.barh(
            rows,
            [_share(item) for _, item in bars],
            height=0.62,
            color=[COLOURS.get(result.outcome, ACCENT) for result, _ in bars],
        )
        for row, (_, item) in zip(rows, bars, strict=True):
            limit = _limit(item)
            if limit is not None:
                axes.plot([limit, limit], [row - 0.42, row + 0.42], color=INK, linewidth=2.0)
        axes.set_yticks(rows, [label(result.key) for result, _ in bars])
        axes.set(
            xlim=(0, 1.02), ylim=(len(bars) - 0.4, -0.6), xlabel="share of the roofline; the vertical mark is the limit"
        )
        axes.grid(visible=True, axis="x", color=FAINT)

    below = [result.key for result, _ in bars if result.outcome is not Outcome.PASSED]
    alternative = (
        f"{len(bars)} of {len(timed)} benchmarks as a share of their roofline, each with its limit. "
        f"{len(below)} of them did not pass{': ' + printable(', '.join(below[:5])) if below else ''}."
    )
    return Plot("shares", "Share of theoretical peak", alternative, draw("shares", (7.4, 0.9 + 0.19 * len(bars)), onto))


def _timed(result: Result) -> list[Evidence]:
    return [item for item in result.evidence if item.rounds_s and item.roofline][:1]


def _share(item: Evidence) -> float:
    return float(item.value) / item.roofline.value if item.roofline else 0.0


def _limit(item: Evidence) -> float | None:
    """The highest lower limit that it was compared with, as a share of the roofline."""
    if item.roofline is None:
        return None
    scale = {OF_ROOFLINE: 1.0, OF_CEILING: item.ceiling.value / item.roofline.value if item.ceiling else None}
    shares = [
        float(comparison.value) * factor
        for comparison in item.held_against
        if comparison.sign == ">=" and (factor := scale.get(comparison.unit, 1 / item.roofline.value)) is not None
    ]
    return max(shares, default=None)
