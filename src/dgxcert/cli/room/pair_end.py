"""The commands that one end of a pair runs: hidden, since `dgxcert room` starts them on both machines."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import BaseOption, ImageOption, ProfileOption, RuntimeOption, StackOption
from dgxcert.console import print_line
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.machine.device import Device
    from dgxcert.machine.identity import Machine
    from dgxcert.profiles.profile import Profile
    from dgxcert.workloads.pairs.end import Place
    from dgxcert.workloads.pairs.order import Order

commands = typer.Typer()

PORT = 29400
PATIENCE_S, LIMIT_S = 60.0, 900.0
STOPPED = 2
"""The exit code of an end whose work did not come to its end: its answer says why."""

Rank = Annotated[int, typer.Option(min=0, max=1, help="0 waits for the other end, 1 comes to it.")]
Peer = Annotated[str, typer.Option(metavar="ADDRESS", help="The address of the other end on the link.")]
Interfaces = Annotated[
    list[str], typer.Option("--interface", metavar="NAME", help="Network interface of the link, for each half once.")
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where the answer is written.")]


@commands.command("pair-end", hidden=True)
def pair_end(
    rank: Rank,
    peer: Peer,
    interface: Interfaces,
    out: Out,
    address: Annotated[str, typer.Option(help="This end's own address; empty means that of the interface.")] = "",
    host: Annotated[str, typer.Option(help="What reports call this machine.")] = "",
    peer_host: Annotated[str, typer.Option(help="What reports call the other one.")] = "",
    meeting: Annotated[str, typer.Option(help="What both ends of one test are told alike.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where rank 0 waits.")] = PORT,
    patience: Annotated[float, typer.Option(min=1, help="Seconds in which the other end must come.")] = PATIENCE_S,
    limit: Annotated[float, typer.Option(min=1, help="Seconds after which the work is ended.")] = LIMIT_S,
    profile: ProfileOption = "auto",
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    image: ImageOption = "",
    base: BaseOption = "",
) -> None:
    """Work together with another machine over the cable between both, and write what this end says of it."""
    from dgxcert.runner import session
    from dgxcert.workloads.pairs import network, order

    network.require(interface)
    machine = session.read_machine()
    chosen = session.choose_profile(profile, machine)
    own = order.of(
        chosen,
        _device(chosen, machine),
        rank=rank,
        host=host or machine.hostname,
        peer_host=peer_host or peer,
        address=address or network.address_of(interface[0]),
        peer=peer,
        port=port,
        meeting=meeting,
        interfaces=tuple(interface),
        hcas=network.hcas(interface),
        driver=machine.driver or "",
        patience_s=patience,
        limit_s=limit,
    )
    _answer(own, out, _place(runtime, chosen, image or f"dgxcert:{stack}", stack, base))


def _device(profile: "Profile", machine: "Machine") -> "Device":
    """The first GPU, or the CPU of a profile without one. Raises CannotStart where there is no GPU."""
    from dgxcert.machine.device import Device

    margin = profile.memory.margin.value
    if not profile.uses_gpu:
        return Device("cpu", 0, machine.cpu or "CPU", margin_gib=margin)
    if not machine.gpus:
        raise CannotStart(f"Profile {profile.name} is of a machine with a GPU, and none was found.", "nvidia-smi")
    return Device("cuda", machine.gpus[0].index, machine.gpus[0].product, profile.gpu.memory, margin)


def _place(choice: RuntimeChoice, profile: "Profile", reference: str, stack: str, base: str) -> "Place":
    """Where the work is done: as that of a run. Raises CannotStart where there is no image of this suite."""
    from dgxcert.container import builder, limits
    from dgxcert.machine.runtime import Runtime, resolve
    from dgxcert.workloads.pairs.end import Place

    place, _ = resolve(choice, profile.name)
    if place is Runtime.NATIVE:
        return Place()
    image = builder.ensure(reference, stack, base, build=False, show=_say)
    return Place(image, limits.read(profile.memory.floor.value))


def _answer(own: "Order", out: Path, place: "Place") -> None:
    """Work, and write the answer; exits with STOPPED where the work did not come to its end."""
    from dgxcert.files import atomic
    from dgxcert.workloads.pairs import end

    with tempfile.TemporaryDirectory(prefix="dgxcert-pair-", ignore_cleanup_errors=True) as folder:
        answer = end.run(own, Path(folder), place)
        if answer.stopped:
            end.keep_log(Path(folder), _say)
    atomic.write_text(out, answer.model_dump_json(indent=1))
    if answer.stopped:
        _say(f"{answer.stopped.phase}: {answer.stopped.problem}")
        raise typer.Exit(STOPPED)
    _say(f"{own.host} and {own.peer_host} have worked together; the answer is {out}")


def _say(text: str) -> None:
    print_line(screen.console(sys.stderr), text)


@commands.command("pair-work", hidden=True)
def pair_work(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of this end's order.")],
) -> None:
    """Work as one end does, natively or in its container: `pair-end` starts it."""
    from dgxcert.workloads.pairs import program

    raise typer.Exit(program.main(folder))
