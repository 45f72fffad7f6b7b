"""The history of a machine: each benchmark over its runs, with a line where driver, firmware or image changed."""

import statistics
from itertools import pairwise
from typing import Any

from dgxcert.console import printable
from dgxcert.history import timeline
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, GOOD, INK, Plot, draw, label

MOST = 60
"""Benchmarks that are drawn."""
HALF_ROW = 0.15
"""Deviation from the median that reaches half way to the next benchmark's line."""
CHARACTER_IN = 0.065
"""Height in inches of one character of the rotated labels above the plot."""
MARKED = ("driver", "firmware", "image", "kernel", "torch", "suite", "profile")


def plot(run: Run) -> Plot | None:
    """The history of a run's machine up to this run; None where this is the first."""
    runs = [*run.earlier, timeline.of(run)]
    names = [name for name in timeline.requirements(runs) if len(timeline.series(runs, name)) > 1][:MOST]
    if len(runs) < 2 or not names:
        return None
    index = {earlier.name: at for at, earlier in enumerate(runs)}
    steps_of = {name: timeline.steps(runs, name) for name in names}
    marks = [(at, label(", ".join(changed))) for at, changed in _changes(runs)]

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            points = timeline.series(runs, name)
            median = statistics.median(rate for _, rate in points)
            xs = [index[earlier.name] for earlier, _ in points]
            ys = [row - max(-1.0, min(1.0, (rate / median - 1) / HALF_ROW)) / 2 for _, rate in points]
            axes.plot(xs, ys, color=ACCENT, marker=".", markersize=3.0, linewidth=1.0)
            for step in steps_of[name]:
                at = xs.index(index[step.run])
                axes.plot(xs[at], ys[at], "o", color=GOOD if step.more > 0 else BAD, markersize=6, fillstyle="none")
        for at, mark in marks:
            axes.axvline(at - 0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.text(at - 0.5, -0.75, mark, rotation=90, va="bottom", ha="center", fontsize=7)
        axes.set_yticks(range(len(names)), [label(name) for name in names])
        axes.set_xticks([0, len(runs) - 1], [runs[0].started[:10], runs[-1].started[:10]])
        axes.set(ylim=(len(names) - 0.3, -0.7))
        axes.grid(visible=True, axis="y", color=FAINT)

    alternative = (
        f"{len(names)} benchmarks over {len(runs)} runs of this machine, each relative to its median; half a row is "
        f"{HALF_ROW:.0%}. Steps in speed are circled ({sum(map(len, steps_of.values()))}); dotted lines mark changes "
        f"of hardware or software ({len(marks)})."
    )
    height = 0.6 + 0.2 * len(names) + CHARACTER_IN * max((len(mark) for _, mark in marks), default=0)
    return Plot("past", "History of this machine", alternative, draw("past", (7.4, height), onto))


def steps(run: Run) -> list[str]:
    """Every step in the history of this machine as a sentence, the latest first."""
    runs = [*run.earlier, timeline.of(run)]
    order = {earlier.name: at for at, earlier in enumerate(runs)}
    all_steps = [step for name in timeline.requirements(runs) for step in timeline.steps(runs, name)]
    return [
        printable(step.description) for step in sorted(all_steps, key=lambda step: (-order[step.run], step.requirement))
    ]


def _changes(runs: list[Earlier]) -> list[tuple[int, list[str]]]:
    """Indices of the runs before which something in MARKED changed, and what."""
    pairs = enumerate(pairwise(timeline.completed(runs)), start=1)
    changed = [
        (at, [name for name in timeline.changes(before, after) if name in MARKED]) for at, (before, after) in pairs
    ]
    return [(at, names) for at, names in changed if names]
