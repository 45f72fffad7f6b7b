"""`dgxcert room merge` and `site-profile`: what a lab makes of runs that are here already."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.compare import account
from dgxcert.cli.usage.declaration import command
from dgxcert.console import counted, on_one_line, print_line
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.record.room.document import Room

commands = typer.Typer()

FoldersArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDERS", help="The folder of a room; or run folders, or folders that hold some."),
]
RoomArgument = Annotated[Path, typer.Argument(metavar="ROOM-FOLDER", help="The folder of a room, with room.json.")]


@command(commands, group="keep", example="dgxcert room merge /shared/results --out /shared/results")
def merge(
    folders: FoldersArgument,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that the room's files go into.")] = None,
) -> None:
    """Compare the runs of many machines, however they came about.

    Each run is rebuilt from its record; one that its record does not prove is no pass. Of each machine the latest run
    that ended counts.

    Exit code 0: all certified, rehearsed or partial; 1: one was rejected; 2: one is inconclusive or not proven, or two
    are one machine.
    """
    from dgxcert.certificate.room import signed_room
    from dgxcert.report import room as reports
    from dgxcert.report.room import terminal

    folder = out or folders[0]
    signed_room.require_unsigned(folder)
    room = _merged(folders, out)
    folder.mkdir(parents=True, exist_ok=True)
    reports.write_all(room, folder)
    terminal.show(room, folder, screen.console())
    raise typer.Exit(room.exit_code)


def _merged(folders: list[Path], out: Path | None) -> "Room":
    from dgxcert.room import merge as merging
    from dgxcert.room.merging import hosts

    now = datetime.now(UTC)
    if out is not None:
        return merging.merge_folders(folders, out, now, screen.say)
    if len(folders) > 1 or not hosts.is_room(folders[0]):
        raise CannotStart(
            f"{folders[-1]} is not the folder of a room, so that it must be said where the room's files go.",
            f"Add --out, best the folder that holds the runs: dgxcert room merge {folders[0]} --out {folders[0]}",
        )
    return merging.merge(folders[0], now, screen.say)


@command(
    commands, name="site-profile", group="keep", example="dgxcert room site-profile results/rooms/latest --write site"
)
def site_profile(
    room: RoomArgument,
    write: Annotated[Path, typer.Option(metavar="DIR", help="Folder that PROFILE.yaml is written into.")],
    who: Annotated[str, typer.Option(help="Who is responsible for it; empty means the name of this account.")] = "",
) -> None:
    """Make a site profile from the good machines of a room.

    These are the machines that passed everything and are no outlier; it needs three. A site profile only tightens
    limits: `dgxcert validate --site`.
    """
    from dgxcert.record.room import document
    from dgxcert.room import site_profile as profiles

    responsible = who or account()
    calibrated = profiles.calibrate(document.load(room), room, responsible, datetime.now(UTC).date())
    paths = profiles.write(calibrated, write)
    errors = screen.console(sys.stderr)
    for each in calibrated:
        for reason in each.left_out:
            print_line(errors, on_one_line(f"left out: {reason}"))
        for reason in each.made.kept if each.made else (f"{each.profile}: no site profile: {each.refused}",):
            print_line(errors, on_one_line(f"as it ships: {reason}"))
    for path, made in zip(paths, [each for each in calibrated if each.made], strict=True):
        limits = counted(len(made.made.tightened if made.made else ()), "limit")
        machines = counted(made.machines, "machine")
        screen.say(
            f"{path}: {limits} tightened, from {machines}, by {responsible}. Use it: dgxcert validate --site {path}"
        )
