"""PAIR-LINK: compares what both ends say of the cable with what the lab wrote and what the profile asks for.

Everything is recorded for each half of each end; `link_causes` then says in words what a violation means. Pure.
"""

from collections.abc import Iterator
from ipaddress import ip_interface

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive
from dgxcert.record.room.pair_answer import Port
from dgxcert.room.pairs.ends import End, Half, Pair, halves

SYSFS = "/sys/class/net"


def judge(evidence: Recorder, pair: Pair) -> None:
    """Record and compare all of it. Raises Inconclusive where an end has said nothing."""
    for end in pair.ends:
        if end.link is None:
            raise Inconclusive(f"{end.name} says nothing of its link: {end.silent or 'it was not asked'}")
    for end, other in pair.directions():
        for half, theirs in zip(halves(end), halves(other), strict=False):
            _half(evidence, end, half)
            _other_end(evidence, end, half, theirs)
        _halves(evidence, end)
        _subnets(evidence, end)
        _wires(evidence, end)
    _alike(evidence, pair)


def _half(evidence: Recorder, end: End, half: Half) -> None:
    """What an interface is by itself."""
    where = f"{end.name} {half.name}"
    evidence.record(f"{where} is there", half.port is not None, source=SYSFS).holds()
    port = half.port
    if port is None:
        return
    if port.addresses:  # where `ip` is missing nothing is known; then the address was tried
        has = half.address in {address.partition("/")[0] for address in port.addresses}
        evidence.record(f"{where} has {half.address}", has, source=f"ip address: {', '.join(port.addresses)}").holds()
    _fact(evidence, f"{where} is up", port.up, f"{SYSFS}/{half.name}/flags")
    if port.up:
        _fact(evidence, f"{where} has a carrier", port.carrier, f"{SYSFS}/{half.name}/carrier")
    if half.carries:
        _speed(evidence, end, half, port)
    _mtu(evidence, end, half, port)
    _pcie(evidence, end, half, port)


def _fact(evidence: Recorder, name: str, value: bool | None, source: str) -> None:
    """A yes-or-no fact. Raises Inconclusive where the kernel does not say it."""
    if value is None:
        raise Inconclusive(f"{name}: the kernel does not say it ({source})")
    evidence.record(name, value, source=source).holds()


def _speed(evidence: Recorder, end: End, half: Half, port: Port) -> None:
    """The negotiated speed, where the lab or the profile promises one."""
    promised = speed_limit(end)
    if promised is None:
        return
    if port.gbits is None:
        raise Inconclusive(f"{end.name} {half.name} does not say how fast it is ({SYSFS}/{half.name}/speed)")
    speed = evidence.record(
        f"{end.name} {half.name} speed", port.gbits, unit="Gbit/s", source=f"{SYSFS}/{half.name}/speed"
    )
    _ = speed >= promised


def speed_limit(end: End) -> Limit | None:
    """What the cable is to carry: as the lab wrote it, else by the profile; None where neither says it."""
    if end.host.link.gbits is None:
        return end.profile.limits.get("pair.speed")
    source = f"link_speed of {end.name} in the inventory"
    return Limit(name="pair.speed", min=end.host.link.gbits, unit="Gbit/s", source=source)


def _mtu(evidence: Recorder, end: End, half: Half, port: Port) -> None:
    if port.mtu is None:
        raise Inconclusive(f"{end.name} {half.name} does not say its MTU ({SYSFS}/{half.name}/mtu)")
    mtu = evidence.record(f"{end.name} {half.name} MTU", port.mtu, unit="B", source=f"{SYSFS}/{half.name}/mtu")
    if end.host.link.mtu is None:
        _ = mtu >= end.profile.limit("pair.mtu")
        return
    source = f"link_mtu of {end.name} in the inventory"
    mtu.within(Limit(name="pair.mtu", equals=float(end.host.link.mtu), unit="B", source=source))


def _pcie(evidence: Recorder, end: End, half: Half, port: Port) -> None:
    """Lanes of the half's own PCIe function, where the profile says how many it needs."""
    if "pair.pcie.width" not in end.profile.limits:
        return
    if port.pcie_width is None or port.pcie_gts is None:
        raise Inconclusive(
            f"{end.name} {half.name} is no PCIe function whose lanes can be read",
            "Write the interfaces of both halves as `link_port`, not a bond or a bridge over them.",
        )
    source = f"/sys/bus/pci/devices/{port.function}"
    width = evidence.record(f"{end.name} {half.name} PCIe width", port.pcie_width, unit="lane", source=source)
    _ = width >= end.profile.limit("pair.pcie.width")
    speed = evidence.record(f"{end.name} {half.name} PCIe speed", port.pcie_gts, unit="GT/s", source=source)
    _ = speed >= end.profile.limit("pair.pcie.speed")


def _other_end(evidence: Recorder, end: End, half: Half, theirs: Half) -> None:
    """Who is at the other end of this half, and whether what fills the MTU arrives there."""
    reach = half.reach
    if half.port is None or reach is None or (reach.says and not reach.sent and not half.carries):
        return  # what is missing has been recorded as missing
    where = f"{end.name} {half.name} to {reach.peer}"
    if reach.mac and theirs.port is not None and theirs.port.mac:
        neighbour = evidence.record(f"{where}, the neighbour", reach.mac, source="/proc/net/arp")
        _ = neighbour == theirs.port.mac.lower()
    least = end.profile.limit("pair.answered")
    why = f"; {reach.says}" if reach.says else ""
    asked = f"{reach.sent} datagrams of a few bytes from {reach.address}{why}"
    answered = evidence.record(f"{where}, answered", _share(reach.answered, reach.sent), unit=least.unit, source=asked)
    _ = answered >= least
    if reach.answered:
        asked = f"{reach.sent_full} undivided datagrams of {reach.size_bytes} bytes with headers"
        share = _share(reach.answered_full, reach.sent_full)
        full = evidence.record(f"{where}, answered at full size", share, unit=least.unit, source=asked)
        _ = full >= least


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _halves(evidence: Recorder, end: End) -> None:
    """How many halves of the port are up, of those that the lab wrote."""
    carry = [half.name for half in halves(end) if half.carries]
    source = f"with a carrier, of those in the inventory: {', '.join(carry) or 'none'}"
    count = evidence.record(f"{end.name} halves of the port that are up", len(carry), unit="half", source=source)
    _ = count >= end.profile.limit("pair.halves")


def _subnets(evidence: Recorder, end: End) -> None:
    """Whether the subnet of each address of the link is on no other interface."""
    shared = tuple(shared_subnets(end))
    source = "; ".join(shared) or "ip address: each in a subnet of its own"
    count = evidence.record(f"{end.name} interfaces in one subnet with the link", len(shared), source=source)
    _ = count == 0


def shared_subnets(end: End) -> Iterator[str]:
    """Each address of another interface that is in the subnet of a half: `10.0.0.4/24 on p0 and 10.0.0.5/24 on p1`."""
    said = set()
    for half in halves(end):
        port = half.port
        mine = next((each for each in (port.addresses if port else ()) if each.partition("/")[0] == half.address), None)
        if mine is None:
            continue
        for other in end.ports.values():
            both = frozenset((half.name, other.interface))
            if other.interface == half.name or both in said:
                continue
            shared = next((theirs for theirs in other.addresses if _overlap(mine, theirs)), None)
            if shared is not None:
                said.add(both)
                yield f"{mine} on {half.name} and {shared} on {other.interface}"


def _overlap(first: str, second: str) -> bool:
    """Whether two addresses are in one subnet; what is no address is in none.

    >>> _overlap("192.168.100.1/24", "192.168.100.9/25"), _overlap("192.168.100.1/24", "192.168.101.1/24")
    (True, False)
    """
    try:
        return ip_interface(first).network.overlaps(ip_interface(second).network)
    except (ValueError, TypeError):  # TypeError: one of each version
        return False


def _wires(evidence: Recorder, end: End) -> None:
    """What ib_write_bw has measured: no limit is compared with it, since it depends on options and versions."""
    for wire in end.link.wires if end.link else ():
        if not wire.says:
            name = f"{end.name} ib_write_bw over {' and '.join(wire.hcas)}"
            evidence.record(name, wire.gbits, unit="Gbit/s", source=f"messages of {wire.size_bytes} bytes")


def _alike(evidence: Recorder, pair: Pair) -> None:
    """Whether both ends of each half have one MTU."""
    for ours, theirs in zip(*map(halves, pair.ends), strict=False):
        if ours.port is None or theirs.port is None or ours.port.mtu is None or theirs.port.mtu is None:
            continue
        names = f"{pair.names[0]} {ours.name} and {pair.names[1]} {theirs.name}"
        difference = abs(ours.port.mtu - theirs.port.mtu)
        apart = evidence.record(f"{names}, difference of MTU", difference, unit="B", source=f"{SYSFS}/*/mtu")
        _ = apart == 0
