"""A strip plot of rounds: each round of each benchmark relative to its median, so that a noisy one stands out."""

import statistics
from dataclasses import dataclass
from typing import Any

from dgxcert.console import printable
from dgxcert.record.run import Run
from dgxcert.report import benchmark_name
from dgxcert.report.plots.canvas import ACCENT, FAINT, WIDTH, Plot, draw

MOST = 80
"""Benchmarks that are drawn."""
MOST_ROUNDS = 60
"""Rounds that are drawn of one benchmark: every n-th in order of time, and the fastest and slowest in any case."""
EDGE = 0.25
"""Rounds further from their median are drawn at the edge."""
ROW_IN = 0.17
"""Height of one benchmark."""


@dataclass(frozen=True)
class Strip:
    """The rounds of one benchmark as deviations from their median: 0.01 is a round that took 1 % longer."""

    key: str
    deviations: tuple[float, ...]

    @property
    def drawn(self) -> list[float]:
        """The deviations that are drawn, sorted, at most EDGE, each place once."""
        step = -(-len(self.deviations) // MOST_ROUNDS)
        chosen = [*self.deviations[::step], min(self.deviations), max(self.deviations)]
        return sorted({round(max(-EDGE, min(EDGE, deviation)), 4) for deviation in chosen})

    @property
    def spread(self) -> float:
        """From the fastest round to the slowest."""
        return max(self.deviations) - min(self.deviations)


def plot(run: Run) -> Plot | None:
    """Strips of a run's benchmarks; None where nothing was timed."""
    timed = {result.key: item.rounds_s for result in run.results for item in result.evidence[::-1] if item.rounds_s}
    names = benchmark_name.names(timed)
    strips = [Strip(key, _deviations(timed[key])) for key in names][:MOST]
    if not strips:
        return None

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        xs: list[float] = []
        ys: list[float] = []
        for row, strip in enumerate(strips):
            for deviation in strip.drawn:
                xs += [deviation, deviation, float("nan")]
                ys += [row - 0.34, row + 0.34, float("nan")]
        axes.plot(xs, ys, color=ACCENT, linewidth=0.9, alpha=0.75)
        edge = max(0.02, *(abs(deviation) for strip in strips for deviation in strip.drawn)) * 1.05
        axes.set_yticks(range(len(strips)), [names[strip.key].whole for strip in strips])
        axes.set(xlim=(-edge, edge), ylim=(len(strips) - 0.4, -0.6), xlabel="duration against the median")
        axes.xaxis.set_major_locator(_locator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}%" if abs(value) > 1e-6 else "0")
        axes.grid(visible=True, axis="x", color=FAINT)

    alternative = _alternative(strips, len(timed))
    return Plot("rounds", "Rounds", alternative, draw("rounds", (WIDTH, 0.6 + ROW_IN * len(strips)), onto))


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4, symmetric=True)


def _alternative(strips: list[Strip], of: int) -> str:
    """What the strips show, from every round: what is drawn at the edge is further away, and named."""
    widest = max(strips, key=lambda strip: strip.spread)
    benchmarks = "1 benchmark" if of == 1 else f"{of} benchmarks"
    shown = benchmarks if len(strips) == of else f"{len(strips)} of {benchmarks}"
    beyond = sum(abs(deviation) > EDGE for strip in strips for deviation in strip.deviations)
    edge = f" Rounds beyond {EDGE:.0%} are drawn at the edge: {beyond}." if beyond else ""
    return (
        f"The rounds of {shown}, each as a line where it took longer (right) or shorter than the median of its "
        f"benchmark. Largest spread: {printable(widest.key)}, from {min(widest.deviations):+.1%} to "
        f"{max(widest.deviations):+.1%}.{edge}"
    )


def _deviations(seconds: tuple[float, ...]) -> tuple[float, ...]:
    """Relative deviations from the median, in order of time; none where the median is 0."""
    median = statistics.median(seconds)
    return tuple(value / median - 1 for value in seconds) if median > 0 else (0.0,)
