"""The summary of a run on the terminal: measurements, problems with their remedies, and last the verdict."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgxcert.console import print_line
from dgxcert.judgement.verdict import Verdict, tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import (
    WEIGHTS,
    headline,
    keys,
    meaning,
    not_measured,
    printable,
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


def show(run: Run, console: Console, folder: str) -> None:
    """Print the summary of a run, and the folder that it is in."""
    console.print()
    console.print(_table(run))
    for reason, results in not_measured(run).items():
        console.print(Text(f"{reason}: {keys(results)}", style="dim"))
    console.print(Text(f"weights: {WEIGHTS[run.options.weights]}", style="dim"))
    for results in problems(run):
        _show_problem(results, console)
    for result in run.results:
        if result.earlier_attempts and result.outcome is not Outcome.NOT_RUN:
            console.print(Text(f"{result.key}: {repeated(result)}", style="dim"))
    for line in waived(run):
        console.print(Text(line, style="bold yellow"))
    for note in run.notes:
        console.print(Text(f"note: {printable(note)}", style="dim"))
    if hint := rehearse_hint(run):
        print_line(console, hint)
    judgement = run.judgement
    console.print()
    console.print(tally(judgement.counts), highlight=False)
    last = Text(verdict_with_basis(run), style=VERDICT_STYLE[judgement.verdict])
    last.append(f": {meaning(run)} (exit {judgement.exit_code})", style="default")
    console.print(last, soft_wrap=True)  # one line, whatever the terminal's width: it is searched for
    print_line(console, f"kept in {folder}")


def _table(run: Run) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("requirement", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("measured")
    table.add_column("required")
    for result in run.results:
        if result.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
            continue
        outcome = Text(result.label, style=OUTCOME_STYLE.get(result.outcome, ""))
        table.add_row(Text(result.key), outcome, Text(headline(result.evidence)), Text(required(result.evidence)))
    return table


def _show_problem(results: list[Result], console: Console) -> None:
    first = results[0]
    console.print()
    console.print(
        Text(f"{first.outcome.label.upper()} {keys(results)}", style=OUTCOME_STYLE.get(first.outcome, "yellow"))
    )
    console.print(Text(printable(first.reason)))
    if len(results) == 1:
        console.print(Text(f"why it matters: {first.why}", style="dim"))
    if first.remedy:
        console.print(Text(f"--- {keys(results[:1])}: what to do ---"))
        for number, step in enumerate(first.remedy, start=1):
            console.print(Text(f"{number}. {printable(step)}"))
