"""The whole screen: at most MOST_LINES where all is well, however many waivers, attempts and notes there are."""

from enum import StrEnum
from pathlib import Path

from rich.console import Console

from dgxcert.console import on_one_line, plain, print_line
from dgxcert.judgement.verdict import Verdict, tally
from dgxcert.record.run import Run
from dgxcert.redaction import models
from dgxcert.report.terminal import sections
from dgxcert.report.terminal.lines import Line, fitted, within
from dgxcert.report.terminal.next_step import Here, next_step
from dgxcert.report.words import meaning, verdict_with_basis

VERDICT_STYLE = {
    Verdict.CERTIFIED: "bold green",
    Verdict.REHEARSED: "bold green",
    Verdict.PARTIAL: "bold cyan",
    Verdict.REJECTED: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
}
MOST_LINES = 40
"""Lines where everything passed."""
LEAST_REMARKS = 4
"""Lines for waivers, attempts and notes, however much there is besides."""
LEFT_OUT = "and {} more: in summary.md"


class Detail(StrEnum):
    """How much of a run is shown."""

    VERDICT = "verdict"
    """Only what did not pass, in a line each, and the verdict."""
    USUAL = "usual"
    EVERYTHING = "everything"
    """Besides, every requirement, and the whole reason and remedy of what did not pass."""


def show(
    run: Run,
    console: Console,
    folder: str,
    *,
    exit_code: int | None = None,
    detail: Detail = Detail.USUAL,
    here: Here | None = None,
) -> None:
    """Print the summary of a run, and the folder that it is in; empty where nothing is left of that.

    `exit_code` is that of the command where it is not the verdict's.
    """
    run = models.scrubbed(run)  # before it is wrapped: a secret over two lines is two words
    width = max(console.width, 20) if console.is_terminal else None
    code = run.judgement.exit_code if exit_code is None else exit_code
    if detail is Detail.VERDICT:
        _print(fitted(sections.short_problems(run), width), console)
        _print_verdict(run, code, console)
        return
    above = fitted(_above(run, detail), width)
    last = fitted([Line(""), *sections.failures(run), Line(tally(run.judgement.counts))], width)
    where = _where(run, folder, (here or Here()) if code == run.judgement.exit_code else None)
    printed = [*above, *last, *fitted(where, width), *fitted([Line(f"{_verdict(run)}{_meaning(run, code)}")], width)]
    most = max(MOST_LINES - len(printed), LEAST_REMARKS) if detail is Detail.USUAL else 10**9
    remarks = within(sections.remarks(run), most - 1, width, LEFT_OUT)
    _print([*above, *([Line("")] if remarks else []), *remarks, *last], console)
    _print_verdict(run, code, console)
    _print(where, console)


def _above(run: Run, detail: Detail) -> list[Line]:
    """All that stands before the remarks."""
    everything = detail is Detail.EVERYTHING
    parts = [
        sections.machine(run),
        sections.headline_figures(run),
        sections.requirements(run) if everything else [],
        sections.groups(run),
    ]
    lines = [line for part in parts if part for line in (Line(""), *part)]
    return lines + (sections.whole_problems(run) if everything else sections.not_passed(run))


def _where(run: Run, folder: str, here: Here | None) -> list[Line]:
    """Where the report is, and the next command; without `here` the caller says how it goes on."""
    if not folder:
        return []
    report = Path(folder) / "report.html"
    place = f"report {report}" if report.exists() else f"kept in {folder}"
    lines = [Line(f"{place} (run {run.id})")]
    return [*lines, Line(next_step(run, folder, here), "bold")] if here else lines


def _verdict(run: Run) -> str:
    return verdict_with_basis(run)


def _meaning(run: Run, code: int) -> str:
    return f": {meaning(run)} (exit {code})"


def _print_verdict(run: Run, code: int, console: Console) -> None:
    line = plain(_verdict(run), VERDICT_STYLE[run.judgement.verdict])
    line.append(_meaning(run, code), style="default")
    console.print(line, soft_wrap=True)  # one line, whatever the terminal's width: it is searched for


def _print(lines: list[Line], console: Console) -> None:
    for line in lines:
        print_line(console, on_one_line(line.text), line.style)
