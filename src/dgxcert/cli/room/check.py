"""`dgxcert room check`: what every host answers, before anything is delivered."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import Room
from dgxcert.cli.options import RESULTS, NewResultsOption, ProfileOption, RuntimeOption, StackOption
from dgxcert.cli.room.options import AskPasswordOption, AskSudoPasswordOption, InventoryArgument, secrets
from dgxcert.cli.usage.declaration import command
from dgxcert.console import on_one_line
from dgxcert.machine.runtime import RuntimeChoice

if TYPE_CHECKING:
    from dgxcert.room.check import Checked
    from dgxcert.room.inventory import Host
    from dgxcert.room.options import RoomOptions

commands = typer.Typer()
WIDTH = 80


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
    from dgxcert.room import check_text
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
    with Controller(inventory, pinned, passwords) as controller, _shown(inventory.hosts, found) as heard:
        checks.check(controller, inventory.hosts, options, heard)
    order = {host.name: at for at, host in enumerate(inventory.hosts)}
    found.sort(key=lambda each: order[each.host.name])
    console = screen.console()
    width = console.width if console.is_terminal else WIDTH
    for line in check_text.lines(found, _to_deliver(options, inventory.hosts, pinned), width):
        screen.say(line)
    raise typer.Exit(Room.ALL_WELL if all(each.wrong is None for each in found) else Room.INCONCLUSIVE)


@contextlib.contextmanager
def _shown(hosts: "Sequence[Host]", found: "list[Checked]") -> "Iterator[Callable[[Checked], None]]":
    """Keep what is heard; on a terminal a line shows who has not answered yet."""
    from dgxcert.room import check_text

    console = screen.console(sys.stderr)
    waiting = [host.name for host in hosts]
    with console.status(check_text.waiting(waiting, len(hosts), console.width), refresh_per_second=4) as status:

        def heard(each: "Checked") -> None:
            found.append(each)
            waiting.remove(each.host.name)
            status.update(check_text.waiting(waiting, len(hosts), console.width))

        yield heard


def _to_deliver(options: "RoomOptions", hosts: "Sequence[Host]", pinned: Path) -> list[str]:
    """The commit and the image that a validation would bring to these hosts, and where host keys are pinned."""
    from dgxcert.container import builder
    from dgxcert.machine.runtime import Runtime, resolve
    from dgxcert.plan import suite

    known = suite.identity(suite.root())
    modified = "; files that were changed since are not delivered" if known.modified else ""
    in_container = any(resolve(options.runtime, options.profile_of(host))[0] is Runtime.DOCKER for host in hosts)
    base = builder.recipe(options.stack, options.base).base.partition("@")[0] if in_container else ""
    image = f"image: {options.image or f'dgxcert:{options.stack}'}, from {base}" if base else "image: none is needed"
    commit = known.commit[:12] if known.commit else "none, a wheel"
    delivered = f"suite: version {known.version}, commit {commit}{modified}"
    return [delivered, image, f"host keys: {pinned}"]
