"""Two ends that fit meet, and each that does not is named by what it is; with real sockets on loopback addresses."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from suites.pair_orders import ADDRESSES, HAS, free_port, told

from dgxcert.outcome import Inconclusive
from dgxcert.record.room.pair_answer import Versions
from dgxcert.workloads.pairs import greeting
from dgxcert.workloads.pairs.greeting import Met
from dgxcert.workloads.pairs.order import Order


def both(first: Order, second: Order, has: Versions = HAS, theirs: Versions = HAS) -> list[Met | Inconclusive]:
    """How each of two ends met the other one."""

    def met(order: Order, versions: Versions) -> Met | Inconclusive:
        try:
            return greeting.meet(order, versions)
        except Inconclusive as error:
            return error

    with ThreadPoolExecutor() as pool:
        return list(pool.map(met, (first, second), (has, theirs)))


def problem(order: Order) -> str:
    with pytest.raises(Inconclusive) as raised:
        greeting.meet(order, HAS)
    assert raised.value.remedy
    return raised.value.problem


def test_two_ends_meet_and_know_each_other() -> None:
    port = free_port()
    first, second = both(told(0, port), told(1, port))
    assert isinstance(first, Met)
    assert isinstance(second, Met)
    assert (first.theirs.host, second.theirs.host) == ("spark-02", "spark-01")
    assert first.theirs.versions == HAS
    assert first.store_port == second.store_port > 0
    first.connection.say({"at": "training"})
    assert second.connection.lines() == [{"at": "training"}]
    first.connection.socket.close()
    assert second.connection.lines() is None
    second.connection.socket.close()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"torch": "2.10.0"}, "it has torch 2.10.0, this end 2.9.1"),
        ({"nccl": ""}, "it has nccl none, this end 2.28.9"),
        ({"suite": "91"}, "it has suite 91, this end 5f"),
        ({"dgxcert": "1.3.0"}, "it has dgxcert 1.3.0, this end 1.4.0"),
    ],
)
def test_an_end_with_other_software_is_no_partner(changed: dict[str, str], named: str) -> None:
    port = free_port()
    first, second = both(told(0, port), told(1, port), theirs=HAS.model_copy(update=changed))
    assert isinstance(first, Inconclusive)
    assert isinstance(second, Inconclusive)
    assert first.problem == f"spark-02 is no partner: {named}"
    assert second.problem.startswith("spark-01 is no partner: it has ")


def test_python_and_driver_may_differ() -> None:
    port = free_port()
    theirs = HAS.model_copy(update={"python": "3.12.9", "driver": "580.178.04"})
    for met in both(told(0, port), told(1, port), theirs=theirs):
        assert isinstance(met, Met)
        met.connection.socket.close()


def test_an_end_that_was_told_something_else_is_no_partner() -> None:
    port = free_port()
    first, _ = both(told(0, port), told(1, port, limit_s=90))
    assert isinstance(first, Inconclusive)
    assert first.problem == "spark-02 is no partner: its plan has limit_s 90.0, that of this end 60.0"


def test_two_ends_of_one_rank_do_not_begin() -> None:
    port = free_port()
    hello = told(0, port)
    mine = greeting.Hello(meeting="", rank=0, host="a", plan=hello.plan, versions=HAS, store_port=1)
    assert greeting.misfit(mine, mine) == "both ends were told to be rank 0"


def test_an_absent_end_is_named_from_both_sides_within_the_patience() -> None:
    port, began = free_port(), time.monotonic()
    assert problem(told(0, port, patience_s=1)) == (
        f"spark-02 did not come from 127.0.0.2 to 127.0.0.1 port {port} within 1 s"
    )
    assert problem(told(1, port, patience_s=1)) == (
        f"spark-01 could not be met at 127.0.0.1 port {port} within 1 s: Connection refused"
    )
    assert time.monotonic() - began < 6


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server((ADDRESSES[0], 0)) as other:
        port = other.getsockname()[1]
        assert problem(told(0, port)) == f"port {port} of 127.0.0.1 is taken by another program"


@pytest.mark.parametrize("rank", [0, 1])
def test_an_address_that_is_not_here_is_named(rank: int) -> None:
    said = problem(told(rank, free_port(), address="192.0.2.7"))
    assert said == "this machine has no address 192.0.2.7: Cannot assign requested address"


class Service:
    """A program that is no end: it says `first` to whoever comes, and waits."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._listening = socket.create_server((ADDRESSES[0], 0))
        self.port = int(self._listening.getsockname()[1])
        self._came: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            self._came.append(connected)
            connected.sendall(self._first)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for each in (self._listening, *self._came):
            each.close()


def hello(**changed: Any) -> bytes:
    order = told(0, 1)
    whole = {
        "magic": "dgxcert pair",
        "format": 1,
        "meeting": order.meeting,
        "rank": 0,
        "host": "spark-01",
        "plan": order.plan.model_dump(mode="json"),
        "versions": HAS.model_dump(mode="json"),
        "store_port": 29401,
    }
    return json.dumps(whole | changed).encode() + b"\n"


@pytest.mark.parametrize(
    ("says", "named"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is no end of a pair: it says 'SSH-2.0-OpenSSH_9.6'"),
        (b"\xff\x00\x1b[2J\n", "is no end of a pair: it says "),
        (b"[" * 70000, "is no end of a pair: it says "),
        (b"\n", "is no end of a pair: it says nothing"),
        (hello(meeting="another"), "is an end of another test"),
    ],
    ids=["ssh", "bytes", "endless", "nothing", "another"],
)
def test_what_is_no_end_of_this_test_is_named(says: bytes, named: str) -> None:
    with Service(says) as service:
        said = problem(told(1, service.port, patience_s=1))
    assert f"within 1 s: {named}" in said
    assert "\x1b" not in said


def test_a_silent_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "ANSWERS_S", 0.3)
    with Service(b"") as service:
        assert problem(told(1, service.port, patience_s=1)).endswith("says nothing within 0 s")


def test_an_end_of_another_version_is_named_at_once() -> None:
    versions = HAS.model_dump() | {"dgxcert": "2.0.0", "new": 1}
    with Service(hello(versions=versions)) as service:
        began = time.monotonic()
        said = problem(told(1, service.port, patience_s=30))
    assert said.startswith("spark-01 is no partner: it has dgxcert 2.0.0 and this end 1.4.0")
    assert time.monotonic() - began < 10


def test_a_stranger_does_not_take_the_place_of_the_other_end() -> None:
    port = free_port()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(greeting.meet, told(0, port, patience_s=20), HAS)
        for _ in range(100):
            try:
                with socket.create_connection((ADDRESSES[0], port), 5, ("127.0.0.3", 0)) as stranger:
                    stranger.sendall(b"GET / HTTP/1.0\r\n")
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        coming = pool.submit(greeting.meet, told(1, port, patience_s=20), HAS)
        met = [waiting.result(), coming.result()]
    assert [each.theirs.host for each in met] == ["spark-02", "spark-01"]
    for each in met:
        each.connection.socket.close()
