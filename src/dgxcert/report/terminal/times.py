"""The times of a run on the terminal: on what each requirement spent its seconds, and each stage."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console

from dgxcert.console import on_one_line, print_line
from dgxcert.judgement.spending import Spent
from dgxcert.record.run import Result, Run

MOST_ROWS = 20
"""Requirements that are shown without --verbose: the longest."""
LEAST_S = 0.05
"""Less is shown as nothing."""
COLUMN, LEAST_NAME = 7, 31
"""Widths of a number, and of a requirement's key on a screen of 80 columns."""
HEADINGS = {
    Spent.BUILDING: "build",
    Spent.WARMING_UP: "warm",
    Spent.MEASURING: "timed",
    Spent.VERIFYING: "verify",
    Spent.WAITING: "wait",
}
LEGEND = "The rest is a check itself, or what nothing names, such as imports."
OUTSIDE = "the supervisor, earlier attempts and pauses"
OLDER = "This run was made by a dgxcert that kept only durations of requirements."


def show(run: Run, console: Console, *, verbose: bool) -> None:
    """Print the seconds of the requirements that took longest, those of each stage, and the share that is measured."""
    results = sorted((each for each in run.results if each.duration_s), key=_seconds, reverse=True)
    if not results:
        print_line(console, "Nothing was measured, so no time was spent.")
        return
    width = max(LEAST_NAME, min(max(len(each.key) for each in results), console.width - COLUMN * (len(HEADINGS) + 2)))
    shown = results if verbose else results[:MOST_ROWS]
    print_line(console, _row("seconds", ["all", *HEADINGS.values(), "rest"], width))
    for result in shown:
        print_line(console, _times(on_one_line(result.key), [result], width))
    if len(results) > len(shown):
        others = results[len(shown) :]
        print_line(console, _times(f"{len(others)} others (-v shows them)", others, width))
    print_line(console, "")
    for stage in dict.fromkeys(result.stage for result in run.results if result in results):
        members = [result for result in results if result.stage == stage]
        print_line(console, _times(f"stage {stage}, {len(members)} requirements", members, width))
    for line in _sums(run, results):
        print_line(console, line)


def _sums(run: Run, results: list[Result]) -> Iterable[str]:
    """What the run took altogether, as sentences."""
    spent, starting = sum(map(_seconds, results)), sum(run.starting_s.values())
    measured = sum(result.spent.get(what, 0.0) for result in results for what in (Spent.WARMING_UP, Spent.MEASURING))
    wall = (datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds()
    yield ""
    yield f"{wall:.1f} s by the clock: requirements {spent:.1f} s, starting their processes {starting:.1f} s"
    if spent + starting > wall:
        yield "Several worked at the same time: together that is more than the clock."
    else:
        yield f"{wall - spent - starting:.1f} s passed outside of both: {OUTSIDE}."
    if not any(result.spent for result in results):
        yield OLDER
        return
    whole = max(wall, spent + starting)
    yield f"Warming up and what is timed: {measured / spent:.0%} of the requirements, {measured / whole:.0%} of all."
    yield LEGEND


def _times(name: str, results: list[Result], width: int) -> str:
    """The row of one requirement, or of several together."""
    whole = sum(map(_seconds, results))
    by_kind = [sum(result.spent.get(what, 0.0) for result in results) for what in HEADINGS]
    seconds = (whole, *by_kind, max(0.0, whole - sum(by_kind)))
    return _row(name, [f"{each:.1f}" if each >= LEAST_S else "" for each in seconds], width)


def _row(name: str, cells: list[str], width: int) -> str:
    """A line whose first column is cut in its middle: the end of a key names its case."""
    if len(name) > width:
        name = f"{name[: width // 2 - 1]}…{name[-(width - width // 2) :]}"
    return (f"{name:{width}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)).rstrip()


def _seconds(result: Result) -> float:
    return result.duration_s or 0.0
