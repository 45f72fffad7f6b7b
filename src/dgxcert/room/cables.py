"""Cables: what the lab wrote of each host's link, one for all its partners or one for each, and whether that fits.

```yaml
spark-01:  # of a ring: two cables, one to each neighbour
  link_address: {spark-02: [192.168.100.1, 192.168.101.1], spark-03: [192.168.104.1, 192.168.105.1]}
  link_port: {spark-02: [enp1s0f0np0, enP2p1s0f0np0], spark-03: [enp1s0f1np1, enP2p1s0f1np1]}
```
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

from dgxcert import near_miss
from dgxcert.console import on_one_line
from dgxcert.outcome import CannotStart
from dgxcert.room.declarations import Places

ADDRESS, PORT, SPEED, MTU = VARIABLES = ("link_address", "link_port", "link_speed", "link_mtu")
OWN_CABLES = "Write one for each cable: link_address: {spark-02: 192.168.100.1, spark-03: 192.168.104.1}"
ONE_CABLE = "Where one cable leads to a switch, write one link for all partners."
CORRECT = "Correct it there."


@dataclass(frozen=True)
class Link:
    """One end of a cable, as the lab wrote it: one or both halves of a port, in the same order."""

    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    """Network interfaces."""
    gbits: float | None = None
    """What the cable carries in Gbit/s (`link_speed`); None leaves it to the profile."""
    mtu: int | None = None
    """What both ends must have (`link_mtu`); None where the lab wrote none."""


class Host(Protocol):
    """A machine with its cables: `room.inventory.Host`."""

    @property
    def name(self) -> str:
        """What the inventory calls it."""

    @property
    def links(self) -> Mapping[str, Link]:
        """Its own cable to each partner, where the lab wrote one for each."""

    def link_to(self, partner: str) -> Link:
        """The link of the cable to a partner."""


def read(host: str, given: Mapping[str, Any], places: Places) -> tuple[Link, dict[str, Link]]:
    """The link to every partner, and those to single partners, from a host's variables.

    Raises CannotStart for a value that is none, with its place.
    """
    partners = dict.fromkeys(name for key in VARIABLES if isinstance(given.get(key), dict) for name in given[key])
    if isinstance(given.get(ADDRESS), dict) != isinstance(given.get(PORT), dict) and ADDRESS in given and PORT in given:
        raise CannotStart(
            f"{places.of(host, ADDRESS, PORT)}: of {ADDRESS} and {PORT} of host {host} one is for each partner, "
            "and the other for all.",
            "Write both for each partner, or both for all.",
        )
    shared = {key: given[key] for key in VARIABLES if key in given and not isinstance(given[key], dict)}
    own = {partner: shared | dict(_of_partner(given, partner)) for partner in partners}
    links = {name: _Reader(host, f" to {name}", values, places).link() for name, values in own.items()}
    return _Reader(host, "", shared, places).link(), links


def _of_partner(given: Mapping[str, Any], partner: str) -> Iterator[tuple[str, Any]]:
    for key in VARIABLES:
        if isinstance(given.get(key), dict) and partner in given[key]:
            yield key, given[key][partner]


@dataclass(frozen=True)
class _Reader:
    """Reads the variables of one link."""

    host: str
    whither: str
    """` to spark-02`, or "" for every partner."""
    given: Mapping[str, Any]
    places: Places

    def link(self) -> Link:
        """The link. Raises CannotStart."""
        addresses, ports, mtu = self._texts(ADDRESS), self._texts(PORT), self._number(MTU)
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise self._wrong(ADDRESS, "an IP address") from None
        if addresses and ports and len(addresses) != len(ports):
            raise self._wrong(PORT, f"as many as link_address has, which are {len(addresses)}")
        return Link(addresses, ports, self._number(SPEED), None if mtu is None else int(mtu))

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self.given.get(key, ())
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list | tuple) or not all(isinstance(each, str) and each for each in values):
            raise self._wrong(key, "a text, or a list of two")
        if len(values) > 2 or len(set(values)) < len(values):
            raise self._wrong(key, "one, or two different ones: a port has two halves")
        return tuple(values)

    def _number(self, key: str) -> float | None:
        value = self.given.get(key)
        try:
            found = None if value is None else float(value)
        except (TypeError, ValueError):
            raise self._wrong(key, "a number") from None
        if found is not None and not 0 < found < 1e6:
            raise self._wrong(key, "a number above 0")
        return found

    def _wrong(self, key: str, wanted: str) -> CannotStart:
        found, place = on_one_line(str(self.given[key]))[:60], self.places.of(self.host, key)
        return CannotStart(
            f"{place}: {key} of host {self.host}{self.whither} must be {wanted}, found {found!r}.", CORRECT
        )


def require_fitting(hosts: Sequence[Host], pairs: Sequence[tuple[str, str]], places: Places) -> None:
    """Raise CannotStart, with the place, where it is open which cable joins a pair, or an address is of another one."""
    known = {host.name: host for host in hosts}
    partners: dict[str, list[str]] = {host.name: [] for host in hosts}
    for first, second in pairs:
        partners[first].append(second)
        partners[second].append(first)
    for host in hosts:
        _require_partners(host, partners[host.name], places)
        _require_different(host, places)
    for host in hosts:
        others = [known[name] for name in partners[host.name]]
        if len(others) > 1:
            _require_own_cables(host, others, places)
            for other in others:
                _require_subnets(host, other, partners[host.name], places)


def _require_partners(host: Host, partners: Sequence[str], places: Places) -> None:
    """A host with a link for each partner has one for every partner, and for nobody else."""
    if not host.links:
        return
    where, name = places.of(host.name, ADDRESS, PORT), host.name
    for each in host.links:
        if each not in partners:
            raise CannotStart(
                f"{where}: host {name} has a link to {each}, and is in no pair with it.",
                *([near_miss.sentence(each, partners)] if partners else []),
                "Add the pair to `pairs`, or take the link out.",
            )
    for each in partners:
        if not host.link_to(each).addresses and any(link.addresses for link in host.links.values()):
            raise CannotStart(
                f"{where}: host {name} is in a pair with {each}, and {ADDRESS} names {', '.join(host.links)} alone.",
                f"Add the addresses of the cable to {each} there, or take the pair out.",
            )


def _require_different(host: Host, places: Places) -> None:
    """Two cables have neither an address nor an interface in common."""
    for (one, first), (other, second) in combinations(host.links.items(), 2):
        for key, ours, theirs in (
            (ADDRESS, first.addresses, second.addresses),
            (PORT, first.ports, second.ports),
        ):
            if both := sorted(set(ours) & set(theirs)):
                raise CannotStart(
                    f"{places.of(host.name, key)}: {key} of host {host.name} has {both[0]} for {one} and for {other}.",
                    OWN_CABLES,
                    ONE_CABLE,
                )


def _require_own_cables(host: Host, others: Sequence[Host], places: Places) -> None:
    """A host with one link for several partners goes through a switch: none of them has a cable of its own to it."""
    if host.links or not host.link_to("").addresses:
        return
    for other in others:
        if host.name in other.links:
            where, names = places.of(host.name, ADDRESS, PORT), " and ".join(each.name for each in others)
            raise CannotStart(
                f"{where}: host {host.name} has one link for {names}, and {other.name} has a cable of its own to it "
                f"({places.of(other.name, ADDRESS, PORT)}): which one is meant is open.",
                OWN_CABLES,
            )


def _require_subnets(host: Host, other: Host, partners: Sequence[str], places: Places) -> None:
    """The address at each end of a half is nearer to the other end's than any other address of the host.

    A subnet that has both ends of a half would have that other address, too: it is of this pair, or in its subnet.
    """
    ours, theirs = host.link_to(other.name).addresses, other.link_to(host.name).addresses
    for mine, peer in zip(ours, theirs, strict=False):
        for partner in partners:
            for stranger in host.link_to(partner).addresses:
                if stranger != mine and _bits_in_common(stranger, peer) >= _bits_in_common(mine, peer):
                    here, there = (places.of(name, ADDRESS) for name in (host.name, other.name))
                    whose = f"of the cable to {partner}" if partner != other.name else "of the other half"
                    raise CannotStart(
                        f"{here}: host {host.name} has {mine} for {other.name}, which has {peer} there ({there}), "
                        f"and {stranger} {whose} would be in one subnet with it.",
                        "Give each half of each cable a subnet of its own, and both its ends an address in it.",
                        CORRECT,
                    )


def _bits_in_common(one: str, other: str) -> int:
    """How many leading bits two addresses have in common; -1 where they are of two versions.

    >>> _bits_in_common("192.168.100.1", "192.168.100.2"), _bits_in_common("192.168.100.1", "192.168.101.2")
    (30, 23)
    """
    first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if first.version != second.version:
        return -1
    return first.max_prefixlen - (int(first) ^ int(second)).bit_length()
