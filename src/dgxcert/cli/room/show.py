"""`dgxcert room show`: a room that was validated or merged, again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS, JsonOption, ResultsOption
from dgxcert.cli.usage.declaration import command
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.record.room.document import Room

commands = typer.Typer()
LATEST = "latest"


@command(commands, group="look", example="dgxcert room show latest")
def show(
    folder: Annotated[str, typer.Argument(metavar="ROOM-FOLDER", help="Folder of a room, its name, or `latest`.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Show a room again, rebuilt from the records of its machines.

    Exit code: as of `dgxcert room run`.
    """
    from dgxcert.cli.json_output import document
    from dgxcert.report.room import terminal

    place = _place(folder, results)
    room = _rebuilt(place)
    if json_:
        document.say(room)
    else:
        terminal.show(room, place, screen.console())
    raise typer.Exit(room.exit_code)


def _place(typed: str, results: Path) -> Path:
    """The folder that was meant. Raises CannotStart where there is none."""
    from dgxcert.room.folder import ROOMS

    for path in (Path(typed), results / ROOMS / typed):
        if path.is_dir():
            return path.resolve() if path.name == LATEST else path
    raise CannotStart(f"There is no room {typed}.", f"Those that are there: ls {results / ROOMS}")


def _rebuilt(place: Path) -> "Room":
    """A room whose hosts were validated from here is rebuilt from its records; of another its document is read."""
    from dgxcert.record.room import document
    from dgxcert.room import merge
    from dgxcert.room.merging import hosts

    return merge.merge(place, datetime.now(UTC)) if hosts.is_room(place) else document.load(place)
