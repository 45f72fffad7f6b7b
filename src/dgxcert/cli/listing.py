"""Commands that only print: all requirements, and a finished run."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS, QuietOption, ResultsOption, RunArgument, VerboseOption
from dgxcert.cli.usage.declaration import command
from dgxcert.console import print_line

if TYPE_CHECKING:
    from dgxcert.record.run import Run

commands = typer.Typer()


@command(commands, name="list", group="look", example="dgxcert list")
def list_() -> None:
    """List every requirement with its group and tier."""
    from dgxcert.plan import suite
    from dgxcert.report import requirement_table

    requirement_table.show(suite.collect(suite.root(), gpus=1), screen.console())


@command(commands, group="look", example="dgxcert show latest")
def show(
    run: RunArgument, results: ResultsOption = RESULTS, verbose: VerboseOption = False, quiet: QuietOption = False
) -> None:
    """Show a finished run again.

    Only if it is what its record proves. The exit code is that of the run.
    """
    from dgxcert.certificate import consistency
    from dgxcert.history import run_names
    from dgxcert.report import terminal

    detail = screen.detail(verbose=verbose, quiet=quiet)
    folder = run_names.resolve(run, results)
    loaded = consistency.load(folder, datetime.now(UTC))
    console, ours = screen.console(), not loaded.unchecked
    terminal.show(loaded.run, console, str(folder), detail=detail, waits=ours and _waits(folder, loaded.run), ours=ours)
    if loaded.unchecked:
        print_line(console, f"not checked: {loaded.unchecked}", style="yellow")
    raise typer.Exit(loaded.run.judgement.exit_code)


def _waits(folder: Path, run: "Run") -> bool:
    """Whether the run can be resumed here and now: it was made on this machine, and something waits."""
    from dgxcert.probes.host import boot
    from dgxcert.runner import resumption

    return run.machine.hostname == socket.gethostname() and resumption.would_measure(folder, boot.read())
