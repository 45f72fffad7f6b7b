"""A strip plot of rounds: each round of each benchmark relative to its median, so that a noisy one stands out."""

import statistics
from typing import Any

from dgxcert.console import printable
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, FAINT, Plot, draw, label

MOST = 80
"""Benchmarks that are drawn."""
MOST_ROUNDS = 60
"""Rounds that are drawn of one benchmark: every n-th in order of time, and the fastest and slowest in any case."""
EDGE = 0.25
"""Rounds further from their median are drawn at the edge."""


def plot(run: Run) -> Plot | None:
    """Strips of a run's benchmarks; None where nothing was timed."""
    timed = [(result.key, item.rounds_s) for result in run.results for item in result.evidence if item.rounds_s]
    strips = [(key, _deviations(seconds)) for key, seconds in sorted(timed)[:MOST]]
    if not strips:
        return None

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        xs: list[float] = []
        ys: list[float] = []
        for row, (_, deviations) in enumerate(strips):
            for deviation in deviations:
                xs += [deviation, deviation, float("nan")]
                ys += [row - 0.34, row + 0.34, float("nan")]
        axes.plot(xs, ys, color=ACCENT, linewidth=0.9, alpha=0.75)
        edge = max(0.02, *(abs(deviation) for _, deviations in strips for deviation in deviations)) * 1.05
        axes.set_yticks(range(len(strips)), [label(key) for key, _ in strips])
        axes.set(
            xlim=(-edge, edge), ylim=(len(strips) - 0.4, -0.6), xlabel="duration of a round, relative to the median"
        )
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}" if abs(value) >= 0.005 else "0")
        axes.grid(visible=True, axis="x", color=FAINT)

    widest = max(strips, key=lambda strip: strip[1][-1] - strip[1][0])
    alternative = (
        f"The rounds of {len(strips)} of {len(timed)} benchmarks, each relative to its median. "
        f"Largest spread: {printable(widest[0])}, from {widest[1][0]:+.1%} to {widest[1][-1]:+.1%}."
    )
    return Plot("rounds", "Rounds", alternative, draw("rounds", (7.4, 0.9 + 0.19 * len(strips)), onto))


def _deviations(seconds: tuple[float, ...]) -> list[float]:
    """Relative deviations from the median, sorted, clipped at EDGE, each value once."""
    median = statistics.median(seconds)
    step = -(-len(seconds) // MOST_ROUNDS)
    drawn = [*seconds[::step], min(seconds), max(seconds)]
    return sorted({round(max(-EDGE, min(EDGE, value / median - 1)), 4) for value in drawn})
