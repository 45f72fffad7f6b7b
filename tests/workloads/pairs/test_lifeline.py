"""While both ends work, each hears what the other is at, how it ends, and that it is silent; with real sockets."""

import socket
import time
from collections.abc import Iterator

import pytest

from dgxcert.workloads.pairs.greeting import Connection
from dgxcert.workloads.pairs.lifeline import Lifeline, Lost

Ends = tuple[Lifeline, Lifeline, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    first, second = socket.socketpair()
    made = (
        Lifeline(Connection(first, "a"), lambda: "all_reduce of 8 bytes", silent_s=1.5),
        Lifeline(Connection(second, "b"), lambda: "training together", silent_s=1.5),
    )
    yield (*made, second)
    first.close()
    second.close()


def lost(lifeline: Lifeline, within_s: float = 10) -> Lost:
    deadline = time.monotonic() + within_s
    while lifeline.lost is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert lifeline.lost is not None
    return lifeline.lost


def test_two_ends_that_work_lose_nothing_and_end_together(ends: Ends) -> None:
    first, second, _ = ends
    first.start()
    second.start()
    time.sleep(2.5)
    assert (first.lost, second.lost) == (None, None)
    first.end("")
    second.await_reason()
    assert (second.done, second.lost) == (True, None)
    second.end("")


def test_an_end_that_is_silent_is_named_with_its_phase(ends: Ends) -> None:
    first, _, other = ends
    first.start()
    other.sendall(b'{"at": "training together"}\n')
    found = lost(first)
    assert found == Lost("has been silent for 2 s", "training together")
    assert found.error("spark-02", "all_reduce of 8 bytes").problem == (
        "spark-02 has been silent for 2 s, last at: training together; this end was at: all_reduce of 8 bytes"
    )


def test_an_end_that_is_gone_is_named_at_once(ends: Ends) -> None:
    first, _, other = ends
    began = time.monotonic()
    first.start()
    other.close()
    assert lost(first).how.startswith("ended without a word")
    assert time.monotonic() - began < 1.5


def test_an_end_that_stopped_says_why(ends: Ends) -> None:
    first, second, _ = ends
    first.start()
    second.start()
    time.sleep(1)
    second.end("spark-02 met an error at: training: OutOfMemoryError")
    assert lost(first) == Lost("stopped: spark-02 met an error at: training: OutOfMemoryError", "training together")


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"other": 1}\n', b'{"at": ["\x1b[2J"]}\n', b"\xff\xfe\n"])
def test_what_is_no_message_does_no_harm(ends: Ends, said: bytes) -> None:
    first, second, other = ends
    first.start()
    other.sendall(said)
    second.start()
    time.sleep(1)
    assert first.lost is None
    second.end("")


def test_an_end_that_met_an_error_waits_for_the_reason_only_a_moment(ends: Ends) -> None:
    first, _, _ = ends
    began = time.monotonic()
    first.await_reason()
    assert 2 < time.monotonic() - began < 6
