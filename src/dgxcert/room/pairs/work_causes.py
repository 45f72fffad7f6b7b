"""Causes: why two machines are slow together although their cable is in order, where the numbers tell. Pure."""

from collections.abc import Iterator

from dgxcert.room.pairs import collectives
from dgxcert.room.pairs.causes import AGAIN, INVENTORY, Cause
from dgxcert.room.pairs.ends import End, Pair, halves
from dgxcert.room.pairs.requirements import STALE

UNUSED = 0.1
"""A half that carries less than this share of what the other one does is not used."""
MAINLY = 0.5
STALE_GBITS = (8.0, 25.0)
"""What a link of 200 Gbit/s moves whose network card was initialised badly (NVIDIA/dgx-spark-playbooks#108)."""
FAST_GBITS = 100.0
SOCKETS = "Socket"


def of(pair: Pair) -> tuple[Cause, ...]:
    """All causes that explain what both ends did together; none where nobody knows why."""
    found = [cause for end in pair.ends for cause in (_network(end, pair), _one_half(end))]
    return tuple(cause for cause in (*found, *_slow(pair)) if cause is not None)


def _network(end: End, pair: Pair) -> Cause | None:
    """The bytes went another way."""
    first = pair.ends[0].work
    if first is None or end.work is None:
        return None
    payload, mine = collectives.payload_bytes(first), sum(collectives.carried(end).values())
    others = collectives.elsewhere(end)
    if not payload or mine >= payload or not others:
        return None
    name = max(others, key=lambda each: others[each])
    if others[name] < MAINLY * payload:
        return None
    return Cause(
        f"{end.name} sent {others[name] / 1e9:.3g} GB over {name}, which is not the link, and {mine / 1e9:.3g} GB over "
        f"{', '.join(end.host.link.ports)}",
        (INVENTORY, "See which way leads to the other end: ip route get " + _peer(end), AGAIN),
        end.name,
    )


def _peer(end: End) -> str:
    return end.work.peer if end.work else ""


def _one_half(end: End) -> Cause | None:
    """Of a port with two halves one has carried everything."""
    by_half = collectives.carried(end)
    if len(by_half) < 2 or not max(by_half.values()):
        return None
    low, high = sorted(by_half, key=lambda each: by_half[each])[:: len(by_half) - 1]
    if by_half[low] >= UNUSED * by_half[high]:
        return None
    return Cause(
        f"one half only: {end.name}'s {high} carried {by_half[high] / 1e9:.3g} GB, {low} {by_half[low] / 1e9:.3g} GB",
        (
            "See that both halves have an RDMA device that is active: ibdev2netdev",
            f"See that {low} reaches the other end by its own address: ip route",
            AGAIN,
        ),
        end.name,
    )


def _slow(pair: Pair) -> Iterator[Cause]:
    first = pair.ends[0].work
    if first is None:
        return
    hardware = all(half.port and half.port.hca for end in pair.ends for half in halves(end))
    if hardware and first.nccl is not None and first.nccl.network == SOCKETS:
        yield Cause(
            "NCCL went over sockets and not over the RDMA devices of the link",
            ("See that they are there: ls /dev/infiniband; ibdev2netdev", AGAIN),
        )
    wires = [wire.gbits for end in pair.ends if end.link for wire in end.link.wires if not wire.says]
    speeds = [8 * speed.gbs for speed in first.speeds if speed.gbs and speed.operation in collectives.ONE_WAY]
    if not hardware or not speeds:
        return
    least, most = STALE_GBITS
    cable = 8 * collectives.line_rate(pair).value
    if cable >= FAST_GBITS and all(least <= speed <= most for speed in speeds):
        yield Cause(
            f"stale initialisation: a clean link of {cable:g} Gbit/s moves {max(speeds):.3g} Gbit/s, as network cards "
            f"do that were initialised badly when the machine started{_confirmed(wires)}",
            (STALE, AGAIN),
        )


def _confirmed(wires: list[float]) -> str:
    """What RDMA alone says to it: a link that is slow by itself is no fault of a library."""
    least, most = STALE_GBITS
    stale = [speed for speed in wires if least <= speed <= most]
    return f"; ib_write_bw moves {min(stale):.3g} too" if stale else ""
