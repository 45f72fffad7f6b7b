"""Causes: what a violation of PAIR-LINK means, in a sentence with the machine at fault and its remedy. Pure.

The most basic one of an end comes first: of a port that is not there nothing else needs to be said.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dgxcert.record.room.pair_answer import Port
from dgxcert.room.pairs import link
from dgxcert.room.pairs.ends import End, Half, Pair, halves
from dgxcert.room.pairs.requirements import UPDATE

INVENTORY = "Correct `link_port` and `link_address` in the inventory, or the machine: ip -br link; ip -br address"
AGAIN = "Then test the pair again: dgxcert room run"
BIOS = "2026-04"
"""From this month on, the BIOS of a DGX Spark gives the second controller four lanes."""


@dataclass(frozen=True)
class Cause:
    """What is wrong, and what to do."""

    says: str
    remedy: tuple[str, ...]
    host: str = ""
    """The machine that it is of; "" where it may be either, or the cable."""


def of(pair: Pair) -> tuple[Cause, ...]:
    """All causes that explain what both ends say of the link; none where nothing is wrong, or nobody knows why."""
    found = [cause for end, _ in pair.directions() for cause in _of_end(end)]
    # One that names its machine first: a half without a carrier may have nothing but its other end switched off.
    own = tuple(sorted(found, key=lambda cause: not cause.host))
    lost = {cause.host for cause in own if cause.host}
    between = tuple(_between(pair)) if not lost else ()
    return (*own, *between, *_slow(pair))


def _of_end(end: End) -> Iterator[Cause]:
    """What is wrong with one machine by itself."""
    for half in halves(end):
        cause = _missing(end, half) or _elsewhere(end, half) or _down(end, half)
        if cause is not None:
            yield cause
    shared = tuple(link.shared_subnets(end))
    if shared:
        yield Cause(
            f"{end.name} has two addresses in one subnet: {'; '.join(shared)}; Linux then answers over either",
            ("Give each half of a port an address in a subnet of its own: sudo netplan try", INVENTORY, AGAIN),
            end.name,
        )
    unused = other_half(end)
    if unused:
        yield Cause(
            f"one half only: of {end.name}'s port the inventory names {end.host.link.ports[0]} and not {unused}",
            (
                f"Give {unused} an address in a subnet of its own, on both machines: sudo netplan try",
                "Add it to `link_port` and `link_address` in the inventory.",
                AGAIN,
            ),
            end.name,
        )


def _missing(end: End, half: Half) -> Cause | None:
    if half.port is not None:
        return None
    there = ", ".join(name for name in end.ports if name != "lo") or "none"
    return Cause(f"{end.name} has no interface {half.name}; it has {there}", (INVENTORY, AGAIN), end.name)


def _elsewhere(end: End, half: Half) -> Cause | None:
    """An address that is not on its interface."""
    found = {address.partition("/")[0]: port.interface for port in end.ports.values() for address in port.addresses}
    if half.port is None or not found or found.get(half.address) == half.name:
        return None
    where = f"it is on {found[half.address]}" if half.address in found else "no interface has it"
    return Cause(
        f"{end.name}'s {half.name} does not have the address {half.address}: {where}", (INVENTORY, AGAIN), end.name
    )


def _down(end: End, half: Half) -> Cause | None:
    port = half.port
    if port is None or half.carries:
        return None
    if port.up is False:
        return Cause(
            f"{end.name}'s {half.name} is switched off",
            (f"Switch it on: sudo ip link set {half.name} up", "Keep it so: sudo netplan try", AGAIN),
            end.name,
        )
    if port.carrier is False:
        return Cause(
            f"{end.name}'s {half.name} has no carrier: its cable is unplugged or broken, or the other end is off",
            (
                "Look at both ends: ip -br link",
                "Plug the cable in on both machines until it clicks; try another one if it stays so.",
                AGAIN,
            ),
        )
    return None


def other_half(end: End) -> str:
    """The interface of the same port that the inventory does not name, where one half alone is named; "" else.

    Both halves of a port have the same bus, device and function in two PCI domains.
    """
    named = [half.port for half in halves(end) if half.port is not None and half.port.function]
    if len(named) != 1 or end.profile.limits.get("pair.halves") is None or len(end.host.link.ports) != 1:
        return ""
    (mine,) = named
    twins = [port for port in end.ports.values() if _is_twin(port, mine)]
    return twins[0].interface if twins else ""


def _is_twin(port: Port, mine: Port) -> bool:
    domain, _, rest = port.function.partition(":")
    my_domain, _, my_rest = mine.function.partition(":")
    return bool(rest) and rest == my_rest and domain != my_domain and port.driver == mine.driver


# Between both machines


def _between(pair: Pair) -> Iterator[Cause]:
    """What is wrong with the way between two ends that are well by themselves."""
    said = set()
    for end, other in pair.directions():
        for half, theirs in zip(halves(end), halves(other), strict=False):
            cause = _who(pair, end, other, half, theirs) or _mtu(end, other, half, theirs)
            if cause is not None and cause.says not in said:
                said.add(cause.says)
                yield cause


def _who(pair: Pair, end: End, other: End, half: Half, theirs: Half) -> Cause | None:
    """Who is at the other end, where it is not the other end of this half."""
    reach = half.reach
    if reach is None or theirs.port is None:
        return None
    leads = f"the cable in {end.name}'s {half.name} does not lead to {other.name}'s {theirs.name}"
    swapped = (f"See which cable is in which port, and swap them: {end.name} {half.name}", INVENTORY, AGAIN)
    mac = reach.mac
    if mac and mac != theirs.port.mac.lower():
        mine = {port.mac.lower(): f"{other.name}'s {port.interface}" for port in other.ports.values() if port.mac}
        whose = mine.get(mac) or pair.others.get(mac) or reach.answers_as or "another machine"
        return Cause(f"{leads}: {whose} has the address {reach.peer} there ({mac})", swapped)
    if reach.answers_as and reach.answers_as != other.name:
        return Cause(f"{leads}: {reach.answers_as} answers at {reach.peer}", swapped)
    if reach.answered:
        return None
    if mac:
        way = f"A firewall may keep UDP port 29410 of {other.name} closed: sudo nft list ruleset"
        return Cause(f"{other.name} has {reach.peer} on the cable, and does not answer {end.name} there", (way, AGAIN))
    return Cause(f"nobody answers at {reach.peer} behind {end.name}'s {half.name}: {leads}", swapped)


def _mtu(end: End, other: End, half: Half, theirs: Half) -> Cause | None:
    reach = half.reach
    if half.port is None or theirs.port is None or half.port.mtu is None or theirs.port.mtu is None:
        return None
    mine, other_mtu = half.port.mtu, theirs.port.mtu
    if mine == other_mtu and (reach is None or not reach.answered or 2 * reach.answered_full >= reach.sent_full):
        return None
    if mine == other_mtu:
        return Cause(
            f"datagrams of {mine} bytes from {end.name}'s {half.name} do not arrive at {other.name}, smaller ones do: "
            "something between both has a smaller MTU",
            ("Set the switch between both to the same MTU, or both ends to 1500.", AGAIN),
        )
    low, high = sorted([(mine, end.name, half.name), (other_mtu, other.name, theirs.name)])
    return Cause(
        f"the MTU of {low[1]}'s {low[2]} is {low[0]}, that of {high[1]}'s {high[2]} {high[0]}",
        (
            f"Set both alike, for now: sudo ip link set {low[2]} mtu {high[0]}",
            "Keep it so: sudo netplan try",
            AGAIN,
        ),
        low[1],
    )


# What makes it slow


def _slow(pair: Pair) -> Iterator[Cause]:
    for end in pair.ends:
        limit, width = link.speed_limit(end), end.profile.limits.get("pair.pcie.width")
        for half in halves(end):
            port = half.port
            if port is None:
                continue
            if limit is not None and limit.min is not None and port.gbits is not None and port.gbits < limit.min:
                yield Cause(
                    f"{end.name}'s {half.name} runs at {port.gbits:g} Gbit/s, and {limit.min:g} were promised",
                    ("See what both ends offer: ethtool " + half.name, "Try another cable.", AGAIN),
                )
            if width is not None and width.min is not None and (port.pcie_width or width.min) < width.min:
                yield _narrow(end, half, port)


def _narrow(end: End, half: Half, port: Port) -> Cause:
    facts = end.link.facts if end.link else None
    bios = f"{facts.bios} of {facts.bios_date}" if facts and facts.bios else "unknown"
    return Cause(
        f"{end.name}'s {half.name} has {port.pcie_width} PCIe lanes where 4 are wired; its BIOS is {bios}, and one "
        f"from before {BIOS} wires the second controller so",
        (
            UPDATE,
            "Look again: sudo lspci -vv -s " + port.function,
            AGAIN,
        ),
        end.name,
    )
