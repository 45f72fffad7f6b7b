"""Two simulated hosts with a real cable: the test of their pair finds what is wrong with it, by name and in time.

Everything is real but the machines: Ansible over SSH, the agent, both ends' programs, veth pairs, tc and routes.
"""

import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from integration.room import hosts as rooms
from integration.room import namespaces
from integration.room.namespaces import Network
from needs import missing

from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import PairResult
from dgxcert.record.run import Result
from dgxcert.room import answers, words
from dgxcert.room import inventory as inventories
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.playbook import Controller, play_of
from dgxcert.room.answers import Answers
from dgxcert.room.cables import Link
from dgxcert.room.check import LIMIT_S, PLACE
from dgxcert.room.delivery import package
from dgxcert.room.delivery.variables import Delivery
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.pairs import test as pairs
from dgxcert.room.pairs.both_ends import BothEnds
from dgxcert.room.pairs.judge import judge
from dgxcert.room.state import Stage

PASSED, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE
NUMBER = 231
"""Of the room, which no other test has."""
RING = 232
"""Of the room whose hosts have two cables each."""
LINK_S, WORK_S = 90.0, 400.0
"""What a test may take on cores with other work; 12 and 50 s on two quiet ones."""
OPTIONS = RoomOptions(profile="cpu", tier=Tier.QUICK, runtime=RuntimeChoice.NATIVE)
MINUTES = pytest.mark.skipif(not os.environ.get("ALL_PAIRS"), reason="takes minutes: make test-pairs")
"""What works together over the cable, and is proved in `test_pair_ends.py` without a room."""
SHORT = ("one subnet", "third", "absent", "slower than promised")
"""Faults that are planted in every run of the tests; the others with `make test-pairs`."""


@dataclass
class Cabled:
    """Two hosts that a cable joins, and a third beside them; what tests change is put back by `mend`."""

    room: rooms.Room
    pairs: pairs.Room
    mended: list[Callable[[], object]]

    @property
    def names(self) -> tuple[str, str]:
        return self.room.pairs[0]

    def on(self, number: int, *commands: str) -> None:
        """`ip` commands on a host."""
        namespaces.batch(Network(self.room.number).namespace(number), list(commands))

    def change(self, number: int, command: str, back: str) -> None:
        """Change a host's network until the test has ended."""
        self.mended.append(lambda: self.on(number, back))
        self.on(number, command)

    def tc(self, number: int, command: str) -> None:
        space = Network(self.room.number).namespace(number)
        subprocess.run(["ip", "netns", "exec", space, "tc", *command.split()], check=True, capture_output=True)

    def test(self, **links: Any) -> tuple[PairResult, float]:
        """Test the pair; `links` changes what the lab wrote of the first host. Returns the seconds that it took."""
        inventory = self.pairs.inventory
        if links:
            inventory = replace(
                inventory, hosts=tuple(_written(host, self.names[0], links) for host in inventory.hosts)
            )
        began_s = time.monotonic()
        (result,) = pairs.test(replace(self.pairs, inventory=inventory), [self.names])
        return result, time.monotonic() - began_s


def _written(host: Host, name: str, links: dict[str, Any]) -> Host:
    return replace(host, link=replace(host.link, **links)) if host.name == name else host


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cabled]:
    """Three hosts, to which this suite is delivered; the first two are joined."""
    yield from three_hosts(tmp_path_factory.mktemp("pairs"), NUMBER, "--pairs")


def three_hosts(folder: Path, number: int, joined: str) -> Iterator[Cabled]:
    if os.geteuid() != 0:
        missing("root, to make network namespaces", "Run it as root.")
    hosts = [sys.executable, str(Path(rooms.__file__))]
    subprocess.run([*hosts, "up", "3", joined, "--number", str(number)], check=True, capture_output=True)
    room = rooms.read(number)
    try:
        inventory = inventories.read(room.inventory)
        delivery = Delivery("pairs", OPTIONS, package.make(folder))
        with Controller(inventory, room.known_hosts) as controller:
            said = heard(controller, inventory)
            play(controller, inventory, "deliver", delivery.variables(Stage.DELIVERS, inventory.hosts, said))
            of_pairs = pairs.Room(controller, inventory, folder, OPTIONS, words.explain, lambda _: None)
            yield Cabled(room, of_pairs, [])
    finally:
        rooms.down(room.number)


def heard(controller: Controller, inventory: Inventory) -> dict[str, Answers]:
    """What the hosts answer."""
    said: dict[str, Answers] = {}

    def take(event: HostEvent) -> None:
        said[event.host] = answers.parse(event.stdout)

    variables = answers.variables(inventory.hosts, PLACE, LIMIT_S)
    assert controller.play(play_of("answers"), variables=variables, on_event=take) == 0
    return said


def play(controller: Controller, inventory: Inventory, name: str, variables: Mapping[str, Any]) -> None:
    failed: list[HostEvent] = []

    def take(event: HostEvent) -> None:
        if event.kind in ("failed", "unreachable"):
            failed.append(event)

    shared = {"place": PLACE, "room": "pairs", **variables}
    assert controller.play(play_of(name), variables=shared, on_event=take) == 0, failed


@pytest.fixture
def cabled(delivered: Cabled) -> Iterator[Cabled]:
    """The hosts, whose network is as it was before once a test has ended."""
    yield delivered
    while delivered.mended:
        delivered.mended.pop()()


def of(result: PairResult, id: str) -> Result:
    return next(each for each in result.results if each.id == id)


def reasons(result: PairResult) -> str:
    return "\n".join(f"{each.id} {each.outcome.value}: {each.reason}" for each in result.results) or result.says


@MINUTES
def test_a_healthy_pair_passes_and_leaves_nothing_on_its_hosts(cabled: Cabled) -> None:
    result, took_s = cabled.test()
    assert [each.outcome for each in result.results] == [PASSED] * 3, reasons(result)
    assert took_s < WORK_S
    assert result.gbs is not None
    for host in cabled.room.hosts:
        assert cabled.room.processes(host) == []
        left = [path for path in cabled.room.leftovers(host) if "/pair-" in path or "/dgxcert-pair" in path]
        assert left == []


# Of the cable: nothing works over it, and it takes seconds


def cut(cabled: Cabled) -> dict[str, Any]:
    cabled.change(2, "link set p1 down", "link set p1 up")
    return {}


def apart(cabled: Cabled) -> dict[str, Any]:
    cabled.change(2, "link set p0 mtu 1500", f"link set p0 mtu {namespaces.MTU}")
    return {"mtu": None}


def one_subnet(cabled: Cabled) -> dict[str, Any]:
    address = address_of(cabled, 1, 0).rpartition(".")[0] + ".77/24"
    cabled.change(1, f"addr add {address} dev p1", f"addr del {address} dev p1")
    return {}


def crossed(cabled: Cabled) -> dict[str, Any]:
    """The cables of both halves are swapped on the second host."""
    plug(cabled, ("p0", "p1"), ("p1", "p0"))
    return {}


def third(cabled: Cabled) -> dict[str, Any]:
    """The cable of the first half leads to the third host, which has the address of the second one."""
    cabled.on(1, "link del p0")
    spaces = [Network(cabled.room.number).namespace(number) for number in (1, 2, 3)]
    namespaces.batch(spaces[0], [f"link add p0 type veth peer name p0 netns {spaces[2]}"])
    namespaces.batch(spaces[1], [f"link add p0 type veth peer name p1 netns {spaces[2]}"])
    for number, host in ((1, 1), (2, 2), (3, 2)):
        up(cabled, number, "p0", address_of(cabled, host, 0))
    cabled.on(3, "link set p1 up")
    cabled.mended.append(lambda: plug(cabled))
    return {}


def plug(cabled: Cabled, ours: tuple[str, str] = ("p0", "p1"), theirs: tuple[str, str] = ("p0", "p1")) -> None:
    """Put both cables into these ports, whose addresses stay those of the port's name."""
    for number in (1, 2, 3):
        for name in ("p0", "p1"):
            space = Network(cabled.room.number).namespace(number)
            subprocess.run(["ip", "-n", space, "link", "del", name], check=False, capture_output=True)
    if ours != theirs:
        cabled.mended.append(lambda: plug(cabled))
    spaces = [Network(cabled.room.number).namespace(number) for number in (1, 2)]
    for mine, other in zip(ours, theirs, strict=True):
        namespaces.batch(spaces[0], [f"link add {mine} type veth peer name {other} netns {spaces[1]}"])
    for number in (1, 2):
        for half, name in enumerate(("p0", "p1")):
            up(cabled, number, name, address_of(cabled, number, half))


def up(cabled: Cabled, number: int, name: str, address: str) -> None:
    cabled.on(
        number, f"link set {name} mtu {namespaces.MTU}", f"addr add {address}/24 dev {name}", f"link set {name} up"
    )


def address_of(cabled: Cabled, number: int, half: int) -> str:
    return str(namespaces.link_addresses(1, number)[half])


def absent(cabled: Cabled) -> dict[str, Any]:
    return {"ports": ("p7", "p1")}


def elsewhere(cabled: Cabled) -> dict[str, Any]:
    return {"ports": ("p1", "p0")}


def nowhere(cabled: Cabled) -> dict[str, Any]:
    return {"addresses": ("192.168.9.9", address_of(cabled, 1, 1))}


def too_fast(cabled: Cabled) -> dict[str, Any]:
    return {"gbits": 200.0}


LINK_FAULTS: dict[str, tuple[Callable[[Cabled], dict[str, Any]], str]] = {
    "cut": (cut, "{second}'s p1 is switched off"),
    "MTU": (apart, "the MTU of {second}'s p0 is 1500, that of {first}'s p0 9000"),
    "one subnet": (one_subnet, "{first} has two addresses in one subnet"),
    "crossed": (crossed, "the cable in {first}'s p0 does not lead to {second}'s p0: {second}'s p1 has the address"),
    "third": (third, "the cable in {first}'s p0 does not lead to {second}'s p0: another machine has the address"),
    "absent": (absent, "{first} has no interface p7; it has"),
    "elsewhere": (elsewhere, "{first}'s p1 does not have the address"),
    "nowhere": (nowhere, "{first}'s p0 does not have the address 192.168.9.9: no interface has it"),
    "slower than promised": (too_fast, "{first}'s p0 runs at 10 Gbit/s, and 200 were promised"),
}


@pytest.mark.parametrize(
    "fault", [fault if fault in SHORT else pytest.param(fault, marks=MINUTES) for fault in LINK_FAULTS]
)
def test_a_fault_of_the_cable_is_named_in_time(cabled: Cabled, fault: str) -> None:
    plant, said = LINK_FAULTS[fault]
    first, second = cabled.names
    result, took_s = cabled.test(**plant(cabled))
    assert of(result, "PAIR-LINK").outcome is FAILED, reasons(result)
    assert said.format(first=first, second=second) in of(result, "PAIR-LINK").reason
    assert took_s < LINK_S
    assert {each.outcome for each in result.results[1:]} == {INCONCLUSIVE}


# Of the work


@MINUTES
def test_a_link_that_is_far_slower_than_it_says_fails(cabled: Cabled) -> None:
    for number in (1, 2):
        cabled.tc(number, "qdisc add dev p0 root tbf rate 200mbit burst 256kb latency 50ms")
        cabled.mended.append(functools.partial(cabled.tc, number, "qdisc del dev p0 root"))
    result, took_s = cabled.test()
    assert of(result, "PAIR-LINK").outcome is PASSED, reasons(result)
    assert of(result, "PAIR-COLLECTIVES").outcome is FAILED
    assert "all_reduce bus bandwidth is" in of(result, "PAIR-COLLECTIVES").reason
    assert took_s < WORK_S


@MINUTES
def test_a_good_result_over_the_management_network_fails(cabled: Cabled) -> None:
    hosts = cabled.room.hosts
    for number, other in ((1, 2), (2, 1)):
        route = f"route {{}} {address_of(cabled, other, 0)}/32 via {hosts[other - 1].address} dev eth0"
        cabled.change(number, route.format("add"), route.format("del"))
    result, _ = cabled.test()
    assert of(result, "PAIR-LINK").outcome is PASSED, reasons(result)
    assert of(result, "PAIR-COLLECTIVES").outcome is FAILED, reasons(result)
    assert "over eth0, which is not the link" in of(result, "PAIR-COLLECTIVES").reason
    assert result.outcome is FAILED


def meanwhile(cabled: Cabled, act: Callable[[], object]) -> threading.Thread:
    """Do something once both hosts exchange data."""

    def wait() -> None:
        deadline_s = time.monotonic() + WORK_S
        while time.monotonic() < deadline_s:
            if all(any("dgxcert.workloads" in line for line in cabled.room.processes(host)) for host in both):
                time.sleep(8)
                act()
                return
            time.sleep(0.2)

    both = cabled.room.hosts[:2]
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@MINUTES
def test_a_cable_that_is_pulled_in_the_middle_is_found_afterwards(cabled: Cabled) -> None:
    pulled = meanwhile(cabled, lambda: cabled.change(2, "link set p0 down", "link set p0 up"))
    result, took_s = cabled.test()
    pulled.join(1)
    assert of(result, "PAIR-LINK").outcome is FAILED, reasons(result)
    assert f"{cabled.names[1]}'s p0 is switched off" in of(result, "PAIR-LINK").reason
    assert of(result, "PAIR-COLLECTIVES").outcome is INCONCLUSIVE
    assert took_s < WORK_S


@MINUTES
def test_a_peer_that_dies_is_named(cabled: Cabled) -> None:
    second = cabled.room.hosts[1]
    died = meanwhile(cabled, lambda: cabled.room.run(second, "sh", "-c", "kill -9 $(pgrep -f 'pair-end|pair-work')"))
    result, took_s = cabled.test()
    died.join(1)
    assert of(result, "PAIR-LINK").outcome is PASSED, reasons(result)
    assert of(result, "PAIR-COLLECTIVES").outcome is INCONCLUSIVE
    assert second.name in of(result, "PAIR-COLLECTIVES").reason
    assert took_s < WORK_S


@MINUTES
def test_ctrl_c_stops_what_was_begun_on_both_hosts(cabled: Cabled) -> None:
    stopped = threading.Event()
    waiting = meanwhile(cabled, stopped.set)
    with pytest.raises(KeyboardInterrupt):
        pairs.one(cabled.pairs, cabled.names, stopped)
    waiting.join(1)
    for host in cabled.room.hosts:
        assert cabled.room.processes(host) == []


@MINUTES
def test_in_a_ring_each_pair_is_looked_at_over_its_own_cable(tmp_path: Path) -> None:
    """The cable between the last and the first is cut: both others are in order, at the same machines."""
    for ring in three_hosts(tmp_path, RING, "--ring"):
        ring.on(3, "link set p2 down")
        room, found = ring.pairs, dict[tuple[str, str], Result]()
        for number, row in enumerate(room.inventory.pairs):
            both = BothEnds(room.controller, room.explain, room.on_event, tmp_path / "pairs")
            asked = pairs._with_link(both, pairs.prepared(room, row), f"pair-{number}")
            found[row] = of(judge(asked), "PAIR-LINK")
        assert {row: result.outcome for row, result in found.items()} == {
            ("spark-01", "spark-02"): PASSED,
            ("spark-02", "spark-03"): PASSED,
            ("spark-03", "spark-01"): FAILED,
        }, [result.reason for result in found.values()]
        assert "spark-03's p2 is switched off" in found["spark-03", "spark-01"].reason


def test_hosts_without_a_link_are_not_tested(cabled: Cabled) -> None:
    (result,) = pairs.test(replace(cabled.pairs, inventory=_without_links(cabled.pairs.inventory)), [cabled.names])
    assert "needs `link_address` and `link_port`" in result.says
    assert result.results == ()


def _without_links(inventory: Inventory) -> Inventory:
    return replace(inventory, hosts=tuple(replace(host, link=Link()) for host in inventory.hosts))
