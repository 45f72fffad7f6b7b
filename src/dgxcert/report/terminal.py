"""The terminal summary: what does not hold and what to do first, the verdict last, where the eye rests."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgxcert.judgement.verdict import Verdict, tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import (
    WEIGHTS,
    headline,
    keys,
    left_out,
    meaning,
    printable,
    rehearse_hint,
    required,
    troubles,
    waived,
)

STYLE = {
    Verdict.CERTIFIED: "bold green",
    Verdict.REHEARSED: "bold green",
    Verdict.PARTIAL: "bold cyan",
    Verdict.REJECTED: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
}

OUTCOME_STYLE = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.INCONCLUSIVE: "yellow"}


def show(run: Run, console: Console, folder: str) -> None:
    """Print the whole run for a person."""
    console.print()
    console.print(_table(run))
    for reason, results in left_out(run).items():
        console.print(Text(f"{reason}: {keys(results)}", style="dim"))
    console.print(Text(f"weights: {WEIGHTS[run.options.weights]}", style="dim"))
    for results in troubles(run):
        _trouble(results, console)
    for line in waived(run):
        console.print(Text(line, style="bold yellow"))
    for note in run.notes:
        console.print(Text(f"note: {printable(note)}", style="dim"))
    hint = rehearse_hint(run)
    if hint:
        console.print(hint, soft_wrap=True)
    judgement = run.judgement
    console.print()
    console.print(tally(judgement.counts), highlight=False)
    verdict = Text(judgement.verdict.value, style=STYLE[judgement.verdict])
    console.print(verdict + Text(f": {meaning(run)} (exit {judgement.exit_code})", style="default"))
    console.print(f"kept in {folder}", soft_wrap=True, highlight=False, markup=False)


def _table(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("requirement", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("measured")
    table.add_column("required")
    for result in run.results:
        if result.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
            continue
        outcome = Text(result.words, style=OUTCOME_STYLE.get(result.outcome, ""))
        table.add_row(Text(result.key), outcome, Text(headline(result.evidence)), Text(required(result.evidence)))
    return table


def _trouble(results: list[Result], console: Console) -> None:
    first = results[0]
    console.print()
    console.print(
        Text(f"{first.outcome.words.upper()} {keys(results)}", style=OUTCOME_STYLE.get(first.outcome, "yellow"))
    )
    console.print(Text(printable(first.reason)))
    if len(results) == 1:
        console.print(Text(f"why it matters: {first.why}", style="dim"))
    if first.remedy:
        console.print(Text(f"--- {keys(results[:1])}: what to do ---"))
        for number, step in enumerate(first.remedy, start=1):
            console.print(Text(f"{number}. {printable(step)}"))
