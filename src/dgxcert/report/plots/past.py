"""The past: each benchmark over the runs of this machine, with a line where driver, firmware or image changed."""

import statistics
from itertools import pairwise
from typing import Any

from dgxcert.history import timeline
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run
from dgxcert.report.plots.canvas import ACCENT, BAD, FAINT, GOOD, INK, Plot, draw, label
from dgxcert.report.words import printable

MOST = 60
"""Benchmarks that are drawn."""
HALF = 0.15
"""A benchmark that lies so far from its median reaches the next one's line."""
LETTER = 0.065
"""Inches that each letter of what changed takes above the picture."""
MARKED = ("driver", "firmware", "image", "kernel", "torch", "suite", "profile")


def plot(run: Run) -> Plot | None:
    """The history of a run's machine up to this run; None where this is the first."""
    runs = [*run.earlier, timeline.of(run)]
    names = [name for name in timeline.requirements(runs) if len(timeline.series(runs, name)) > 1][:MOST]
    if len(runs) < 2 or not names:
        return None
    place = {each.name: at for at, each in enumerate(runs)}
    steps = {name: timeline.steps(runs, name) for name in names}
    marks = [(at, label(", ".join(changed))) for at, changed in _changed(runs)]

    def onto(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            points = timeline.series(runs, name)
            median = statistics.median(rate for _, rate in points)
            xs = [place[each.name] for each, _ in points]
            ys = [row - max(-1.0, min(1.0, (rate / median - 1) / HALF)) / 2 for _, rate in points]
            axes.plot(xs, ys, color=ACCENT, marker=".", markersize=3.0, linewidth=1.0)
            for step in steps[name]:
                at = xs.index(place[step.run])
                axes.plot(xs[at], ys[at], "o", color=GOOD if step.more > 0 else BAD, markersize=6, fillstyle="none")
        for at, mark in marks:
            axes.axvline(at - 0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.text(at - 0.5, -0.75, mark, rotation=90, va="bottom", ha="center", fontsize=7)
        axes.set_yticks(range(len(names)), [label(name) for name in names])
        axes.set_xticks([0, len(runs) - 1], [runs[0].started[:10], runs[-1].started[:10]])
        axes.set(ylim=(len(names) - 0.3, -0.7))
        axes.grid(visible=True, axis="y", color=FAINT)

    words = (
        f"{len(names)} benchmarks over {len(runs)} runs of this machine, each beside its median; a row is "
        f"{HALF:.0%} high to either side. {sum(map(len, steps.values()))} steps are circled; "
        f"{len(marks)} dotted lines stand where hardware or software changed."
    )
    height = 0.6 + 0.2 * len(names) + LETTER * max((len(mark) for _, mark in marks), default=0)
    return Plot("past", "History of this machine", words, draw("past", (7.4, height), onto))


def told(run: Run) -> list[str]:
    """Every step in the history of this machine, in words, the latest first."""
    runs = [*run.earlier, timeline.of(run)]
    order = {each.name: at for at, each in enumerate(runs)}
    steps = [step for name in timeline.requirements(runs) for step in timeline.steps(runs, name)]
    return [printable(step.words) for step in sorted(steps, key=lambda step: (-order[step.run], step.requirement))]


def _changed(runs: list[Earlier]) -> list[tuple[int, list[str]]]:
    """Places at which something changed against the run before, and what."""
    pairs = enumerate(pairwise(runs), start=1)
    found = [
        (at, [name for name in timeline.changes(before, after) if name in MARKED]) for at, (before, after) in pairs
    ]
    return [(at, names) for at, names in found if names]
