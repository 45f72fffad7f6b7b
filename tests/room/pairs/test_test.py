"""The test of pairs: a machine is in one test at a time, and each pair meets over its own cable."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from suites import played_pair as played

from dgxcert.record.room.document import PairResult
from dgxcert.room.cables import Link
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.pairs import test as pairs
from dgxcert.room.pairs.judge import judge
from dgxcert.room.pairs.rounds import Row

RING: list[Row] = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "e")]


class NoController:
    """Of tests that ask no host."""

    def play(self, play: Path, **_: object) -> int:
        raise AssertionError(f"{play} was played")

    def end(self) -> None:
        """Nothing is under way."""


def room_of(*hosts: Host) -> pairs.Room:
    inventory = Inventory(Path("room.yaml"), hosts, tuple(RING))
    explain: Callable[..., object] = lambda _: ()  # noqa: E731
    options = RoomOptions(profile="dgx-spark")
    return pairs.Room(NoController(), inventory, Path("nowhere"), options, explain, lambda _: None)  # type: ignore[arg-type]


@dataclass
class Busy:
    """Which hosts are in a test, and which pairs were tested beside each other."""

    hosts: list[str] = field(default_factory=list)
    beside: set[Row] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self, _: pairs.Room, row: Row, __: threading.Event) -> PairResult:
        with self.lock:
            assert not set(self.hosts) & set(row), f"{row} while {self.hosts} are in a test"
            self.hosts += row
        time.sleep(0.1)
        with self.lock:
            if set(self.hosts) > set(row):
                self.beside.add(row)
            self.hosts = [name for name in self.hosts if name not in row]
        return judge(played.pair()).model_copy(update={"hosts": row})


def test_pairs_that_share_a_host_are_never_tested_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy()
    monkeypatch.setattr(pairs, "one", busy.one)
    results = pairs.test(room_of(), RING)
    assert [result.hosts for result in results] == RING
    assert busy.beside, "pairs without a common host are tested together"


def test_each_pair_of_a_host_with_two_cables_meets_over_its_own() -> None:
    def links(first: str, second: str, number: int) -> dict[str, Link]:
        return {
            first: Link((f"10.1.0.{number}",), ("p0",)),
            second: Link((f"10.2.0.{number}",), ("p2",)),
        }

    a, b = Host("a", "10.0.0.1", links=links("b", "c", 1)), Host("b", "10.0.0.2", links=links("a", "c", 2))
    c = Host("c", "10.0.0.3", links={"a": Link(("10.2.0.3",), ("p2",))})
    room = room_of(a, b, c)
    assert [end.host.link.ports for end in pairs.prepared(room, ("a", "b")).ends] == [("p0",), ("p0",)]
    assert [end.host.link.ports for end in pairs.prepared(room, ("c", "a")).ends] == [("p2",), ("p2",)]
    flat = replace(a, links={}, link=Link(("10.1.0.1",), ("p0",)))
    assert pairs.prepared(room_of(flat, b, c), ("a", "b")).ends[0].host.link == flat.link
