"""The summary of a run on the terminal: measurements, problems with their remedies, and last the verdict."""

import textwrap

from rich.console import Console
from rich.table import Table

from dgxcert.console import on_one_line, plain, print_line, printable
from dgxcert.judgement.verdict import Verdict, tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.redaction import models
from dgxcert.report.words import (
    WEIGHTS,
    headline,
    keys,
    meaning,
    not_measured,
    problems,
    rehearse_hint,
    repeated,
    required,
    verdict_with_basis,
    waived,
)

VERDICT_STYLE = {
    Verdict.CERTIFIED: "bold green",
    Verdict.REHEARSED: "bold green",
    Verdict.PARTIAL: "bold cyan",
    Verdict.REJECTED: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
}

OUTCOME_STYLE = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.INCONCLUSIVE: "yellow"}


def show(run: Run, console: Console, folder: str, exit_code: int | None = None) -> None:
    """Print the summary of a run, and the folder that it is in; empty where nothing is left of that.

    `exit_code` is that of the command where it is not the verdict's.
    """
    run = models.scrubbed(run)  # before it is wrapped: a secret over two lines of a table is two words
    console.print()
    console.print(_table(run))
    for reason, results in not_measured(run).items():
        _say(console, f"{on_one_line(reason)}: {keys(results)}", "dim")
    _say(console, f"weights: {WEIGHTS[run.options.weights]}", "dim")
    for results in problems(run):
        _show_problem(results, console)
    for result in run.results:
        if result.earlier_attempts and result.outcome is not Outcome.NOT_RUN:
            _say(console, f"{keys([result])}: {repeated(result)}", "dim")
    for line in waived(run):
        _say(console, line, "bold yellow")
    for note in run.notes:
        _say(console, f"note: {note}", "dim")
    if hint := rehearse_hint(run):
        print_line(console, hint)
    judgement = run.judgement
    console.print()
    console.print(tally(judgement.counts), highlight=False)
    last = plain(verdict_with_basis(run), VERDICT_STYLE[judgement.verdict])
    last.append(f": {meaning(run)} (exit {judgement.exit_code if exit_code is None else exit_code})", style="default")
    console.print(last, soft_wrap=True)  # one line, whatever the terminal's width: it is searched for
    if folder:
        print_line(console, on_one_line(f"kept in {folder}"))


def _table(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("requirement", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("measured")
    table.add_column("required")
    for result in run.results:
        if result.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
            continue
        outcome = plain(result.label, OUTCOME_STYLE.get(result.outcome, ""))
        cells = (on_one_line(text) for text in (headline(result.evidence), required(result.evidence)))
        table.add_row(plain(keys([result])), outcome, *map(plain, cells))
    return table


def _say(console: Console, text: str, style: str = "") -> None:
    """Print text with its further lines indented: no line of it can look like one of the summary, as a verdict does."""
    first, *more = printable(text).split("\n")
    lines = [first, *(line if line.startswith("  ") else f"  {line}" for line in more)]
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        wrapped = textwrap.wrap(line, max(console.width, 20), subsequent_indent=indent or "  ", break_long_words=False)
        print_line(console, "\n".join(wrapped), style)


def _show_problem(results: list[Result], console: Console) -> None:
    first = results[0]
    console.print()
    _say(console, f"{first.outcome.label.upper()} {keys(results)}", OUTCOME_STYLE.get(first.outcome, "yellow"))
    _say(console, first.reason)
    if len(results) == 1:
        _say(console, f"why it matters: {first.why}", "dim")
    if first.remedy:
        _say(console, f"--- {keys(results[:1])}: what to do ---")
        for number, step in enumerate(first.remedy, start=1):
            _say(console, f"{number}. {step}")
