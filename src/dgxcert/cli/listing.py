"""Commands that only print: all requirements, and a finished run."""

from datetime import UTC, datetime

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS, ResultsOption, RunArgument
from dgxcert.cli.usage.declaration import command
from dgxcert.console import print_line

commands = typer.Typer()


@command(commands, name="list", group="look", example="dgxcert list")
def list_() -> None:
    """List every requirement with its group and tier."""
    from dgxcert.plan import suite
    from dgxcert.report import requirement_table

    requirement_table.show(suite.collect(suite.root(), gpus=1), screen.console())


@command(commands, group="look", example="dgxcert show latest")
def show(run: RunArgument, results: ResultsOption = RESULTS) -> None:
    """Show a finished run again.

    Only if it is what its record proves. The exit code is that of the run.
    """
    from dgxcert.certificate import consistency
    from dgxcert.history import run_names
    from dgxcert.report import terminal

    folder = run_names.resolve(run, results)
    loaded = consistency.load(folder, datetime.now(UTC))
    console = screen.console()
    terminal.show(loaded.run, console, str(folder))
    if loaded.unchecked:
        print_line(console, f"not checked: {loaded.unchecked}", style="yellow")
    raise typer.Exit(loaded.run.judgement.exit_code)
