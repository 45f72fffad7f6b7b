"""`dgxcert room run` and `dgxcert room stop`: validate every host of an inventory, and show the room."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import CannotRun
from dgxcert.cli.options import (
    RESULTS,
    BaseOption,
    BuildOption,
    ImageOption,
    MinutesOption,
    NewResultsOption,
    OnlyOption,
    ProfileOption,
    RuntimeOption,
    StackOption,
    existing,
    only_of,
)
from dgxcert.cli.room.options import AskPasswordOption, AskSudoPasswordOption, InventoryArgument, secrets
from dgxcert.cli.usage.declaration import command
from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.outcome import CannotStart
from dgxcert.plan.options import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from dgxcert.record.room.document import PairResult, Room
    from dgxcert.room.ansible.playbook import Controller
    from dgxcert.room.conduct.call import Call, OnEvent
    from dgxcert.room.conduct.conductor import Explain, Script
    from dgxcert.room.conduct.pair_rows import Row
    from dgxcert.room.delivery.images import Images
    from dgxcert.room.folder import RoomFolder
    from dgxcert.room.inventory import Inventory
    from dgxcert.room.options import RoomOptions

commands = typer.Typer()

AtOnceOption = Annotated[int, typer.Option(min=0, help="How many hosts may work at the same time; 0 for all.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Leave the hosts once they work; the next call looks.")]
PairsOption = Annotated[bool, typer.Option(help="Test the pairs of the inventory once their hosts are validated.")]
NewOption = Annotated[bool, typer.Option("--new", help="Begin another room, even where one has something left to do.")]
CleanOption = Annotated[
    bool, typer.Option("--clean", help="Remove the room's folder, and its image, from the hosts at the end.")
]
RegistryOption = Annotated[
    str, typer.Option(metavar="HOST/NAME", help="A registry of the lab through which the hosts hand on the image.")
]
WaiversOption = Annotated[str, typer.Option(metavar="FILE", help="File of waivers for all hosts.", callback=existing)]
SiteOption = Annotated[str, typer.Option(help="Site profile for all hosts: a file, or a folder.", callback=existing)]


@command(commands, group="validate", example="dgxcert room run room.yaml --tier quick")
def run(
    room: InventoryArgument,
    profile: ProfileOption = "",
    tier: Annotated[Tier, typer.Option(help="How much to run; only `standard` certifies.")] = Tier.STANDARD,
    minutes: MinutesOption = 30.0,
    only: OnlyOption = "",
    weights: Annotated[Weights, typer.Option(help="`hub` also runs real checkpoints from the Hub.")] = Weights.SEEDED,
    results: NewResultsOption = RESULTS,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    image: ImageOption = "",
    base: BaseOption = "",
    build: BuildOption = True,
    waivers: Annotated[
        str, typer.Option(metavar="FILE", help="File of waivers for all hosts.", callback=existing)
    ] = "",
    site: SiteOption = "",
    registry: RegistryOption = "",
    at_once: AtOnceOption = 0,
    pairs: PairsOption = True,
    detach: DetachOption = False,
    new: NewOption = False,
    clean: CleanOption = False,
    ask_password: AskPasswordOption = False,
    ask_sudo_password: AskSudoPasswordOption = False,
) -> None:
    """Validate every host of a room, and compare them.

    Linked pairs are tested once their hosts are validated. Called again it goes on: what has ended is fetched, what was
    stopped is resumed, nothing is measured twice. Ctrl-C stops what was started on the hosts.

    Exit code 0: all well; 1: a machine was rejected, or a pair failed; 2: a machine or pair was inconclusive or not
    validated; 3: could not start or not finish.
    """
    from dgxcert.room import inventory as inventories
    from dgxcert.room.conduct.call import Call
    from dgxcert.room.options import RoomOptions

    if detach and at_once:
        raise CannotStart(
            "--at-once needs a controller that begins the next host, and --detach leaves none.",
            "Leave one of them out.",
        )
    options = RoomOptions(
        profile=profile,
        tier=tier,
        minutes=minutes,
        only=only_of(only),
        weights=weights,
        runtime=runtime,
        stack=stack,
        image=image,
        base=base,
        build=build,
        waivers=_absolute(waivers),
        site=_absolute(site),
        registry=registry,
    )
    inventory = inventories.read(room)
    call = Call(inventory, options, results, at_once, detach, pairs, clean, new)
    _work(call, ask_password=ask_password, ask_sudo_password=ask_sudo_password)


@command(commands, group="validate", example="dgxcert room stop room.yaml")
def stop(
    room: InventoryArgument,
    results: NewResultsOption = RESULTS,
    ask_password: AskPasswordOption = False,
    ask_sudo_password: AskSudoPasswordOption = False,
) -> None:
    """Stop what works on the hosts of a room, and fetch it.

    Exit code: as of `dgxcert room run`.
    """
    from dgxcert.room import inventory as inventories
    from dgxcert.room.conduct.call import Call
    from dgxcert.room.options import RoomOptions

    call = Call(inventories.read(room), RoomOptions(), results, pairs=False, stop=True)
    _work(call, ask_password=ask_password, ask_sudo_password=ask_sudo_password)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _work(call: "Call", *, ask_password: bool, ask_sudo_password: bool) -> None:
    """Conduct the room, show it, and exit by it."""
    from dgxcert.report.room import terminal
    from dgxcert.room.ansible.playbook import Controller
    from dgxcert.room.conduct import call as calls
    from dgxcert.room.conduct.until_done import How
    from dgxcert.room.folder import known_hosts
    from dgxcert.runner import interrupts

    passwords = secrets(login=ask_password, sudo=ask_sudo_password)
    console = screen.console()
    for note in call.inventory.notes:
        screen.say(note)
    pinned = known_hosts(call.results, call.inventory.path)
    with interrupts.held() as signals, Controller(call.inventory, pinned, passwords) as controller:
        ended = calls.work(call, lambda *room: _Parts(controller, call.inventory, *room), console, signals)
        terminal.show(ended.room, ended.folder, console)
    left = ended.how is How.LEFT and not call.detach
    raise typer.Exit(CannotRun.CANNOT_START if left else ended.room.exit_code)


class _Parts:
    """What a call works with."""

    def __init__(
        self, controller: "Controller", inventory: "Inventory", folder: "RoomFolder", options: "RoomOptions"
    ) -> None:
        from dgxcert.room import words
        from dgxcert.room.conduct.plays import Plays
        from dgxcert.room.delivery import images, package
        from dgxcert.room.delivery.variables import Delivery

        self.controller, self._inventory, self._folder, self._options = controller, inventory, folder, options
        self.explain: Explain = words.explain
        self._package = package.make(folder.path)
        delivery = Delivery(folder.name, options, self._package)
        self._images = images.Images(controller, inventory, folder.name, options, delivery.environment)
        delivery.images = self._images
        self.script: Script = Plays(folder, inventory, options, delivery)

    def delivering(self, say: "Callable[[str], None]") -> "Images":
        """Bring the image to hosts that need it, and say what the user should know of what is delivered."""
        if self._package.note:
            say(self._package.note)
        self._images.say = say
        return self._images

    def test_pairs(self, rows: "Sequence[Row]", on_event: "OnEvent") -> "tuple[PairResult, ...]":
        """Test pairs, whose ends were validated."""
        from dgxcert.room.pairs import test

        room = test.Room(self.controller, self._inventory, self._folder.path, self._options, self.explain, on_event)
        return test.test(room, rows)

    def merge(self, path: Path, now: datetime) -> "Room":
        """The room of a folder as one document."""
        from dgxcert.room import merge

        return merge.merge(path, now)

    def write(self, room: "Room", path: Path) -> None:
        """Write the document and its reports."""
        from dgxcert.report.room import write_all

        write_all(room, path)
