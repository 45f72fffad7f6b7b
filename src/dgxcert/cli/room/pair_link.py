"""`dgxcert pair-link`: what one end of a pair says of the cable; hidden, since `dgxcert room` starts it on both."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dgxcert.outcome import CannotStart

commands = typer.Typer()

Halves = Annotated[
    list[str],
    typer.Option(
        "--half", metavar="INTERFACE=ADDRESS=PEER", help="A half of the port, with the address that the other end has."
    ),
]
PARTS = 3
MTU_UNKNOWN = 1500
"""Of an interface that is not there: nothing is sent from it."""


@commands.command("pair-link", hidden=True)
def pair_link(
    half: Halves,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the answer is written.")],
    host: Annotated[str, typer.Option(help="What reports call this machine.")],
    peer_host: Annotated[str, typer.Option(help="What reports call the other one.")],
    meeting: Annotated[str, typer.Option(help="What both ends of one test are told alike.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="UDP port of both ends.")] = 29410,
    patience: Annotated[float, typer.Option(min=1, help="Seconds in which the other end must come.")] = 30.0,
) -> None:
    """Say what this end is, and who answers over each half of the cable."""
    from dgxcert.files import atomic
    from dgxcert.probes.links.pair import facts, reach, wire
    from dgxcert.record.room.link_answer import LinkAnswer

    began, written = _now(), [_parts(each) for each in half]
    known = facts.read([interface for interface, _, _ in written])
    mtus = {each.interface: each.mtu or MTU_UNKNOWN for each in known.ports}
    ways = [reach.Way(*parts, mtu=_possible(mtus.get(parts[0], MTU_UNKNOWN))) for parts in written]
    measures = wire.is_installed()
    tested = reach.test(ways, reach.Meeting(meeting, host, peer_host, measures, port, patience))
    hcas = {each.interface: each.hca for each in known.ports}
    halves = [wire.Half(hcas[each.interface], each.peer) for each in tested.reached if each.answered]
    both = measures and tested.measures and len(halves) == len(written) and all(half.hca for half in halves)
    answer = LinkAnswer(
        host=host,
        peer_host=peer_host,
        meeting=meeting,
        began=began,
        facts=known,
        reached=tested.reached,
        wires=wire.measure(halves, asks=host > peer_host) if both else (),
        ended=_now(),
    )
    atomic.write_text(out, answer.model_dump_json(indent=1))


def _possible(mtu: int) -> int:
    """An MTU within what IPv4 can fill; that of a loopback is larger."""
    from dgxcert.probes.links.pair import reach

    return max(reach.LEAST_MTU, min(mtu, reach.MOST_MTU))


def _parts(half: str) -> tuple[str, str, str]:
    """Interface, address and peer of a half. Raises CannotStart."""
    interface, *addresses = half.split("=")
    if len(addresses) != PARTS - 1 or not all((interface, *addresses)):
        raise CannotStart(
            f"wanted a half as INTERFACE=ADDRESS=PEER, found {half[:100]!r}.", "`dgxcert room run` starts this command."
        )
    return interface, addresses[0], addresses[1]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
