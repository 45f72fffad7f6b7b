"""The checklist of a course module on the terminal: what a run proved of each row, and what is left to the student."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from rich.console import Console

from dgxcert.console import on_one_line, print_line
from dgxcert.outcome import Outcome
from dgxcert.plan.selection import any_gpu
from dgxcert.profiles.prerequisites import MODULE, Row
from dgxcert.record.run import Result, Run
from dgxcert.redaction import models

MOST_STEPS = 2
"""Steps of a remedy that are printed; the run folder holds all."""


class Mark(StrEnum):
    """The state of a row, as a word that a screen reader can read out."""

    READY = "checked"
    NOT_READY = "not ready"
    UNKNOWN = "not checked"
    NOT_APPLICABLE = "does not apply"


SIGNS = {Mark.READY: "✔", Mark.NOT_READY: "✘", Mark.UNKNOWN: "?", Mark.NOT_APPLICABLE: "-"}
PLAIN_SIGNS = {Mark.READY: "+", Mark.NOT_READY: "x", Mark.UNKNOWN: "?", Mark.NOT_APPLICABLE: "-"}
STYLE = {Mark.READY: "green", Mark.NOT_READY: "bold red", Mark.UNKNOWN: "yellow", Mark.NOT_APPLICABLE: "dim"}
READY = "Ready: start with the module."
PRACTICE = "Ready to practise; not the machine of the course."
"""Where a row does not apply, as without a GPU."""
ANSWER = {
    1: "Not ready: fix what is marked as not ready, then run this again.",
    2: "Unknown: some rows could not be checked; each has its reason.",
}
"""By exit code."""
KNOWLEDGE = (
    "Checked is what this environment can do, not what you know: answer the questions",
    "yourself, and review the lesson of each that you cannot answer.",
)

WIDTHS = (25, 33, 16)
"""Of the three columns; with the sign and two gaps they are 80 characters wide."""
HEADS = ("module", "checked here / for you", "lesson to review")


@dataclass(frozen=True)
class Line:
    """A row of the checklist with its mark; `reasons` has one entry for each requirement that did not pass."""

    row: Row
    mark: Mark
    reasons: tuple[str, ...]
    remedy: tuple[str, ...]


def checklist(run: Run, rows: tuple[Row, ...]) -> tuple[Line, ...]:
    """Every row with its mark in this run. Only requirements that were measured and passed make a row ready."""
    run = models.scrubbed(run)
    return tuple(_line(run, row) for row in rows)


def exit_code(run: Run, lines: tuple[Line, ...]) -> int:
    """1 where a row is not ready, 2 where one is not checked, otherwise the exit code of the run's verdict."""
    marks = {line.mark for line in lines}
    if Mark.NOT_READY in marks:
        return 1
    if Mark.UNKNOWN in marks or not lines:
        return 2
    return run.judgement.exit_code


def _line(run: Run, row: Row) -> Line:
    results = [result for result in run.results if any(_is_named(result, name) for name in row.proved_by)]
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    excluded = [result for result in results if result.outcome is Outcome.NOT_APPLICABLE]
    passed = [result for result in results if result.outcome is Outcome.PASSED]
    unknown = [result for result in results if result not in (*failed, *excluded, *passed)]
    missing = tuple(
        f"{name}: this run did not measure it"
        for name in row.proved_by
        if not any(_is_named(result, name) for result in results)
    )
    if failed:
        return Line(row, Mark.NOT_READY, _reasons([*failed, *unknown]) + missing, failed[0].remedy)
    if unknown or missing:
        remedy = next((result.remedy for result in unknown if result.remedy), ())
        return Line(row, Mark.UNKNOWN, _reasons(unknown) + missing, remedy)
    return Line(row, Mark.READY if passed else Mark.NOT_APPLICABLE, _reasons(excluded), ())


def _is_named(result: Result, name: str) -> bool:
    return name in (result.key, any_gpu(result.key), result.id)


def _reasons(results: list[Result]) -> tuple[str, ...]:
    return tuple(f"{result.key}: {_first_line(result.reason)}" for result in results)


def _first_line(reason: str) -> str:
    return next(iter(reason.splitlines()), "") or "no reason was recorded"


def show(run: Run, lines: tuple[Line, ...], console: Console, folder: str) -> None:
    """Print the checklist in three columns of 80 characters, what it does not prove, and last the answer."""
    signs = SIGNS if _can_encode(console, "".join(SIGNS.values())) else PLAIN_SIGNS
    console.print()
    _print(console, f"prerequisites of {MODULE}, profile {run.profile.name} ({run.profile.machine})", "bold")
    console.print()
    for text in _columns("", *HEADS):
        _print(console, text, "bold")
    for line in lines:
        for text in _columns(signs[line.mark], *_cells(line)):
            _print(console, text, STYLE[line.mark])
        for text in _details(line):
            _print(console, f"    {text}", "dim" if line.mark is Mark.NOT_APPLICABLE else "")
    counts = Counter(line.mark for line in lines)
    console.print()
    _print(console, ", ".join(f"{counts[mark]} {mark.value}" for mark in Mark))
    for text in KNOWLEDGE:
        _print(console, text)
    code = exit_code(run, lines)
    _print(console, f"{_answer(code, lines)} (exit {code})", "bold green" if code == 0 else "bold")
    _print(console, f"kept in {folder}")


def _answer(code: int, lines: tuple[Line, ...]) -> str:
    if code:
        return ANSWER[code]
    return PRACTICE if any(line.mark is Mark.NOT_APPLICABLE for line in lines) else READY


def _cells(line: Line) -> tuple[str, str, str]:
    """The module's row, what was checked of it with the question to the student, and the lesson."""
    row = line.row
    state = f"{line.mark.value}: {row.proof}"
    return (
        row.sentence,
        f"{state}\nfor you: {row.question}" if row.question else state,
        row.review.removeprefix("Lesson: "),
    )


def _columns(sign: str, *cells: str) -> list[str]:
    """The lines of one row of the table.

    >>> _columns("+", "torch.no_grad()", "checked: it builds no graph", "autograd")
    ['+ torch.no_grad()            checked: it builds no graph        autograd']
    """
    wrapped = [
        [
            part
            for text in cell.split("\n")
            for part in textwrap.wrap(text, width, subsequent_indent="  " * (width > 30))
        ]
        for cell, width in zip(cells, WIDTHS, strict=True)
    ]
    rows = zip_longest(*wrapped, fillvalue="")
    made = ["  ".join(f"{part:<{width}}" for part, width in zip(row, WIDTHS, strict=True)) for row in rows]
    return [f"{sign if not number else '':<2}{text}".rstrip() for number, text in enumerate(made)]


def _details(line: Line) -> list[str]:
    """The reasons and first steps of a row, and what to try for one that is not ready."""
    steps = [f"{number}. {step}" for number, step in enumerate(line.remedy[:MOST_STEPS], start=1)]
    lesson = [f"try: {line.row.snippet}"]
    return [*line.reasons, *steps, *(lesson if line.mark is Mark.NOT_READY else [])]


def _print(console: Console, text: str, style: str = "") -> None:
    encoding = console.encoding or "utf-8"
    # On a terminal in Latin-1 or ASCII a degree sign in a reason must not raise UnicodeEncodeError.
    print_line(console, on_one_line(text).encode(encoding, "replace").decode(encoding), style)


def _can_encode(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
