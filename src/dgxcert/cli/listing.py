"""Commands that only print: all requirements, and a finished run."""

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RunArgument

commands = typer.Typer()


@commands.command(name="list")
def list_() -> None:
    """List all requirements and groups."""
    from dgxcert.plan import suite
    from dgxcert.report import requirement_table

    requirement_table.show(suite.collect(suite.root(), gpus=1), screen.console())


@commands.command()
def show(run: RunArgument) -> None:
    """Show a finished run again. The exit code is that of the run."""
    from dgxcert.record import run as runs
    from dgxcert.report import terminal

    finished = runs.load(run)
    terminal.show(finished, screen.console(), str(run))
    raise typer.Exit(finished.judgement.exit_code)
