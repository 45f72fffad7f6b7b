"""The two ends of a pair: what the lab wrote of each, and what each has answered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from dgxcert.profiles.profile import Profile
from dgxcert.record.room.link_answer import LinkAnswer, Reach
from dgxcert.record.room.pair_answer import PairAnswer, Port
from dgxcert.room.inventory import Host


@dataclass(frozen=True)
class End:
    """One machine of a pair."""

    host: Host
    """With the link of this pair's cable: `Host.towards`."""
    profile: Profile
    link: LinkAnswer | None = None
    """What it says of the cable; None where it has said nothing."""
    work: PairAnswer | None = None
    """What it says of the work of both; None where it has said nothing, or was not asked."""
    silent: str = ""
    """Why an answer is missing: `it did not answer within 60 s`."""

    @property
    def name(self) -> str:
        """What the inventory calls it."""
        return self.host.name

    @property
    def ports(self) -> dict[str, Port]:
        """Its network interfaces by name, as its answers have them."""
        said = self.link or self.work
        return {port.interface: port for port in said.facts.ports} if said else {}


@dataclass(frozen=True)
class Half:
    """One half of a port, on one end."""

    name: str
    """Of the interface."""
    address: str
    port: Port | None
    """None where the machine has no such interface."""
    reach: Reach | None

    @property
    def carries(self) -> bool:
        """Whether it is up, with a cable in it."""
        return self.port is not None and self.port.up is not False and self.port.carrier is True


@dataclass(frozen=True)
class Pair:
    """Two machines; the first one is rank 0."""

    ends: tuple[End, End]
    others: dict[str, str] = field(default_factory=dict)
    """MAC addresses of link ports of other machines, with `spark-03 (enp1s0f0np0)` for each."""

    @property
    def names(self) -> tuple[str, str]:
        """Both machines."""
        return self.ends[0].name, self.ends[1].name

    def each(self, change: Callable[[int, End], End]) -> "Pair":
        """The pair with each of its ends changed, by its rank."""
        first, second = self.ends
        return replace(self, ends=(change(0, first), change(1, second)))

    def directions(self) -> Iterator[tuple[End, End]]:
        """Each end with the other one."""
        first, second = self.ends
        yield first, second
        yield second, first


def halves(end: End) -> tuple[Half, ...]:
    """The halves of a port that the lab wrote for an end, in its order."""
    reached = {each.interface: each for each in end.link.reached} if end.link else {}
    written = zip(end.host.link.ports, end.host.link.addresses, strict=False)
    return tuple(Half(name, address, end.ports.get(name), reached.get(name)) for name, address in written)
