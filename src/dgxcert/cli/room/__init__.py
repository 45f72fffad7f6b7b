"""Commands about a room of machines: `dgxcert room …`."""

import sys

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import CannotRun
from dgxcert.cli.room import check, merge, run, show
from dgxcert.cli.usage.declaration import Commands
from dgxcert.console import print_line

commands = typer.Typer(
    cls=Commands,
    name="room",
    help="Validate many machines over SSH, and compare them.",
    epilog="dgxcert room check room.yaml",
    invoke_without_command=True,
    rich_markup_mode=None,
)
commands.add_typer(check.commands)
commands.add_typer(run.commands)
commands.add_typer(merge.commands)
commands.add_typer(show.commands)


@commands.callback()
def start(context: typer.Context) -> None:
    """Say what there is where no command was given."""
    if context.invoked_subcommand is None:
        print_line(screen.console(sys.stderr), context.get_help())
        raise typer.Exit(CannotRun.CANNOT_START)
