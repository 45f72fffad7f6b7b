"""Readiness: the module's checklist for a student, rebuilt from a run: a tick, a cross or a reason for each row."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.text import Text

from dgxcert.outcome import Outcome
from dgxcert.plan.selection import any_gpu
from dgxcert.profiles.prerequisites import MODULE, Row
from dgxcert.record.run import Result, Run
from dgxcert.report.words import printable

STEPS = 2
"""Of a remedy: a student who needs more finds all of it in the run folder."""


class Mark(StrEnum):
    """What stands beside a row, in words that a screen reader can say."""

    READY = "ready"
    NOT_READY = "not ready"
    UNKNOWN = "could not look"
    NOT_APPLICABLE = "does not apply"


SIGNS = {Mark.READY: "✔", Mark.NOT_READY: "✘", Mark.UNKNOWN: "?", Mark.NOT_APPLICABLE: "-"}
PLAIN_SIGNS = {Mark.READY: "+", Mark.NOT_READY: "x", Mark.UNKNOWN: "?", Mark.NOT_APPLICABLE: "-"}
STYLE = {Mark.READY: "green", Mark.NOT_READY: "bold red", Mark.UNKNOWN: "yellow", Mark.NOT_APPLICABLE: "dim"}


@dataclass(frozen=True)
class Line:
    """One row as it stands on this machine. `because` holds a line for each requirement that did not pass."""

    row: Row
    mark: Mark
    because: tuple[str, ...]
    remedy: tuple[str, ...]


def checklist(run: Run, rows: tuple[Row, ...]) -> tuple[Line, ...]:
    """Every row with what the run says of it. Only what was measured and passed gives a tick."""
    return tuple(_line(run, row) for row in rows)


def exit_code(run: Run, lines: tuple[Line, ...]) -> int:
    """0 only where every row is ready or does not apply; 1 for a cross, 2 for a reason, else what the run says."""
    marks = {line.mark for line in lines}
    if Mark.NOT_READY in marks:
        return 1
    if Mark.UNKNOWN in marks or not lines:
        return 2
    return run.judgement.exit_code


def _line(run: Run, row: Row) -> Line:
    found = [result for result in run.results if any(_proves(result, name) for name in row.proved_by)]
    failed = [result for result in found if result.outcome is Outcome.FAILED]
    excused = [result for result in found if result.outcome is Outcome.NOT_APPLICABLE]
    passed = [result for result in found if result.outcome is Outcome.PASSED]
    unseen = [result for result in found if result not in (*failed, *excused, *passed)]
    missing = tuple(
        f"{name}: nothing in this run measured it"
        for name in row.proved_by
        if not any(_proves(result, name) for result in found)
    )
    if failed:
        return Line(row, Mark.NOT_READY, _reasons([*failed, *unseen]) + missing, failed[0].remedy)
    if unseen or missing:
        remedy = next((result.remedy for result in unseen if result.remedy), ())
        return Line(row, Mark.UNKNOWN, _reasons(unseen) + missing, remedy)
    return Line(row, Mark.READY if passed else Mark.NOT_APPLICABLE, _reasons(excused), ())


def _proves(result: Result, name: str) -> bool:
    return name in (result.key, any_gpu(result.key), result.id)


def _reasons(results: list[Result]) -> tuple[str, ...]:
    return tuple(f"{result.key}: {_first_line(result.reason)}" for result in results)


def _first_line(reason: str) -> str:
    return next(iter(reason.splitlines()), "") or "no reason was kept"


def show(run: Run, lines: tuple[Line, ...], console: Console, folder: str) -> None:
    """Print the checklist for a student, the answer last."""
    signs = SIGNS if _can_show(console, "".join(SIGNS.values())) else PLAIN_SIGNS
    console.print()
    _say(console, f"prerequisites of {MODULE}, profile {run.profile.name} ({run.profile.machine})", "bold")
    for line in lines:
        _say(console, f"{signs[line.mark]} {line.mark.value:<14}  {line.row.sentence}", STYLE[line.mark])
        for text in _details(line):
            _say(console, f"{'':18}{text}", "dim" if line.mark is Mark.NOT_APPLICABLE else "")
    counted = Counter(line.mark for line in lines)
    console.print()
    _say(console, ", ".join(f"{counted[mark]} {mark.value}" for mark in Mark))
    code = exit_code(run, lines)
    _say(console, f"{_answer(code)} (exit {code})", "bold green" if code == 0 else "bold")
    _say(console, f"kept in {folder}")


def _details(line: Line) -> list[str]:
    """What a student reads below a row: why, what to do, and for a cross what to review."""
    steps = [f"{number}. {step}" for number, step in enumerate(line.remedy[:STEPS], start=1)]
    lesson = [f"review: {line.row.review}", f"try: {line.row.snippet}"]
    return [*line.because, *steps, *(lesson if line.mark is Mark.NOT_READY else [])]


def _answer(code: int) -> str:
    return {
        0: "Ready: begin with the module.",
        1: "Not ready: mend what has a cross, then run it again.",
    }.get(code, "Not known: what stands there as a reason could not be looked at.")


def _say(console: Console, text: str, style: str = "") -> None:
    """Print one line, as far as this terminal's encoding has signs for it."""
    encoding = console.encoding or "utf-8"
    shown = printable(text).encode(encoding, "replace").decode(encoding)
    console.print(Text(shown, style=style), soft_wrap=True)


def _can_show(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
