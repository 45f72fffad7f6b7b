"""The history of a machine: each benchmark over its runs, with a line where driver, firmware or image changed."""

import statistics
from itertools import pairwise
from typing import Any

from dgxcert.console import printable
from dgxcert.history import timeline
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run
from dgxcert.report import benchmark_name
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, GOOD, INK, WIDTH, Plot, draw

MOST = 60
"""Benchmarks that are drawn."""
MOST_NAMED = 8
"""Changes of hardware or software that the text beside the plot names."""
HALF_ROW = 0.15
"""Deviation from the median that reaches half way to the next benchmark's line."""
ROW_IN = 0.2
"""Height of one benchmark."""
APART = 0.09
"""Numbers of changes are this part of the plot apart, so that they do not collide."""


def plot(run: Run) -> Plot | None:
    """The history of a run's machine up to this run; None where this is the first."""
    runs = [*run.earlier, timeline.of(run)]
    known = [name for name in timeline.requirements(runs) if len(timeline.series(runs, name)) > 1]
    if len(runs) < 2 or not known:
        return None
    labels = benchmark_name.names(known)
    names = [*labels][:MOST]
    index = {earlier.name: at for at, earlier in enumerate(runs)}
    steps_of = {name: timeline.steps(runs, name) for name in names}
    marks = _changes(runs)

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            points = timeline.series(runs, name)
            xs = [index[earlier.name] for earlier, _ in points]
            ys = [row - max(-1.0, min(1.0, each / HALF_ROW)) / 2 for each in _deviations(points)]
            axes.plot(xs, ys, color=ACCENT, marker=".", markersize=3.0, linewidth=1.0)
            for step in steps_of[name]:
                at = xs.index(index[step.run])
                axes.plot(xs[at], ys[at], "o", color=GOOD if step.more > 0 else BAD, markersize=6, fillstyle="none")
        for at, number in _numbered(marks, len(runs)):
            axes.axvline(at - 0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.text(at - 0.5, -0.75, number, va="bottom", ha="center")
        axes.set_yticks(range(len(names)), [labels[name].whole for name in names])
        axes.set_xticks([0, len(runs) - 1], [runs[0].started[:10], runs[-1].started[:10]])
        axes.set(ylim=(len(names) - 0.3, -0.7))
        axes.grid(visible=True, axis="y", color=FAINT)

    beyond = sum(abs(each) > HALF_ROW for name in names for each in _deviations(timeline.series(runs, name)))
    alternative = _alternative((len(names), len(known)), len(runs), beyond, sum(map(len, steps_of.values())), marks)
    drawn = draw("past", (WIDTH, 0.75 + ROW_IN * len(names)), onto)
    return Plot("past", "History of this machine", alternative, drawn)


def _deviations(points: list[tuple[Earlier, float]]) -> list[float]:
    """Of each rate from the median of all: 0.1 is 10 % faster."""
    median = statistics.median(rate for _, rate in points)
    return [rate / median - 1 for _, rate in points]


def _numbered(marks: list[tuple[int, list[str]]], runs: int) -> list[tuple[int, str]]:
    """Where a dotted line is drawn, with its number where there is space for it."""
    numbered: list[tuple[int, str]] = []
    free_from = -1.0
    for number, (at, _) in enumerate(marks, start=1):
        fits = at >= free_from
        numbered.append((at, str(number) if fits else ""))
        free_from = at + APART * (runs - 1) if fits else free_from
    return numbered


def _alternative(drawn: tuple[int, int], runs: int, beyond: int, steps: int, marks: list[tuple[int, list[str]]]) -> str:
    """What the plot shows in words: `drawn` is how many benchmarks are shown, and of how many."""
    shown = "1 benchmark" if drawn[1] == 1 else f"{drawn[0]} of {drawn[1]} benchmarks"
    if drawn[0] == drawn[1] > 1:
        shown = f"{drawn[0]} benchmarks"
    edge = f"; what is further away ({beyond}) is drawn there" if beyond else ""
    circled = f"Steps in speed are circled: {steps}." if steps else "No step in speed was found."
    named = [f"{number} {', '.join(changed)}" for number, (_, changed) in enumerate(marks, start=1)]
    more = f"; and {len(marks) - MOST_NAMED} more" if len(marks) > MOST_NAMED else ""
    changes = f"{'; '.join(named[:MOST_NAMED])}{more}"
    dotted = f" Dotted lines are changes of hardware or software: {changes}." if marks else ""
    return printable(
        f"{shown} over {runs} runs, each relative to its median; half a row is {HALF_ROW:.0%}{edge}. {circled}{dotted}"
    )


def steps(run: Run) -> list[str]:
    """Every step in the history of this machine as a sentence, the latest first."""
    runs = [*run.earlier, timeline.of(run)]
    return [printable(step.description) for step in timeline.all_steps(runs)]


def _changes(runs: list[Earlier]) -> list[tuple[int, list[str]]]:
    """Indices of the runs before which something in MARKED changed, and what."""
    pairs = enumerate(pairwise(timeline.completed(runs)), start=1)
    changed = [(at, [name for name in timeline.changes(*pair) if name in timeline.MARKED]) for at, pair in pairs]
    return [(at, names) for at, names in changed if names]
