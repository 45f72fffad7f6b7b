"""`dgxcert room check`: what every host answers, before anything is delivered."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import Room
from dgxcert.cli.options import RESULTS, NewResultsOption, ProfileOption, RuntimeOption, StackOption
from dgxcert.cli.room.options import AskPasswordOption, AskSudoPasswordOption, InventoryArgument, secrets
from dgxcert.cli.usage.declaration import command
from dgxcert.console import counted, on_one_line
from dgxcert.machine.runtime import RuntimeChoice

if TYPE_CHECKING:
    from dgxcert.room.check import Checked

commands = typer.Typer()
MOST_NAMED = 200


@command(commands, group="validate", example="dgxcert room check room.yaml")
def check(
    room: InventoryArgument,
    profile: ProfileOption = "",
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    results: NewResultsOption = RESULTS,
    ask_password: AskPasswordOption = False,
    ask_sudo_password: AskSudoPasswordOption = False,
) -> None:
    """Ask every host of a room whether it could be validated.

    Exit code 0: all could be; 2: not all; 3: could not start.
    """
    from dgxcert.room import check as checks
    from dgxcert.room import inventory as inventories
    from dgxcert.room.ansible.playbook import Controller
    from dgxcert.room.folder import known_hosts
    from dgxcert.room.options import RoomOptions

    inventory = inventories.read(room)
    passwords = secrets(login=ask_password, sudo=ask_sudo_password)
    for note in inventory.notes:
        screen.say(on_one_line(note))
    options = RoomOptions(profile=profile, runtime=runtime, stack=stack)
    pinned = known_hosts(results, inventory.path)
    found: list[Checked] = []
    with Controller(inventory, pinned, passwords) as controller:
        checks.check(controller, inventory.hosts, options, found.append)
    for line in _lines(found, pinned):
        screen.say(line)
    raise typer.Exit(Room.ALL_WELL if all(each.wrong is None for each in found) else Room.INCONCLUSIVE)


def _lines(found: "Sequence[Checked]", pinned: Path) -> list[str]:
    """A table of those that answered, then what would be delivered, then who could not be validated."""
    from dgxcert.plan import suite
    from dgxcert.report.layout import columns
    from dgxcert.room.check import clock_is_wrong

    ready = [each for each in found if each.wrong is None]
    head = ["host", "user", "clock", "free disk", "engine", "Python", "architecture"]
    lines = columns([head, *(_row(each) for each in ready)]) if ready else []
    lines += [f"{each.host.name}: {on_one_line(line)}" for each in ready for line in each.advice]
    lines += [
        f"{each.host.name}: its clock is {each.apart_s:+.0f} s from here" for each in ready if clock_is_wrong(each)
    ]
    known = suite.identity(suite.root())
    modified = "; files that were changed since are not delivered" if known.modified else ""
    lines += ["", f"to deliver: dgxcert {known.version}, commit {(known.commit or 'none, a wheel')[:12]}{modified}"]
    lines += [f"host keys: {pinned}"]
    wrong = [each for each in found if each.wrong is not None]
    for each in wrong[:MOST_NAMED]:
        word, said, remedy = each.wrong or (None, "", ())
        lines.append(f"{each.host.name}  not to be validated: {word}: {on_one_line(said)}")
        lines += [f"    {step}" for step in remedy]
    all_said = f"{len(ready)} of {counted(len(found), 'host')} could be validated"
    return [*lines, all_said + (f"; {counted(len(wrong), 'host')} not." if wrong else ".")]


def _row(each: "Checked") -> list[str]:
    said = each.answers
    apart = "unknown" if each.apart_s is None else "right" if abs(each.apart_s) < 1 else f"{each.apart_s:+.0f} s"
    free = "unknown" if said.free_kib is None else f"{said.free_kib / 1024**2:.1f} GiB"
    python = ".".join(map(str, said.python or ())) or "none"
    user = f"{said.user}" if not each.host.sudo_user else f"{said.user} by sudo"
    engine = said.engine if said.has_engine else "none"
    return [each.host.name, user, apart, free, engine, python, said.architecture]
