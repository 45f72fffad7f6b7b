"""Reach: two ends on the loopback find each other, each at its own address, and strangers are none of them."""

import json
import socket
import threading
from collections.abc import Sequence

import pytest

from dgxcert.probes.links.pair import message, reach
from dgxcert.probes.links.pair.reach import Meeting, Way
from dgxcert.record.room.link_answer import Reach

PORT = 29871
FIRST, SECOND = "127.0.0.31", "127.0.0.32"
OTHER = "127.0.0.33"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "EVERY_S", 0.002)
    monkeypatch.setattr(reach, "KNOCK_S", 0.02)
    monkeypatch.setattr(reach, "SILENT_S", 0.5)
    monkeypatch.setattr(reach, "LAST_S", 0.2)


def way(address: str, peer: str, *, interface: str = "lo", mtu: int = 1500) -> Way:
    return Way(interface, address, peer, mtu)


def meeting(number: int, **changed: str) -> Meeting:
    host, peer = (f"spark-0{each}" for each in (number, 3 - number))
    return Meeting(changed.get("name", "m"), host, changed.get("peer_host", peer), port=PORT, patience_s=5.0)


def both(
    first: Sequence[Way], second: Sequence[Way], other: Meeting | None = None
) -> tuple[tuple[Reach, ...], tuple[Reach, ...]]:
    """Both ends at the same time, the second one in a thread."""
    found: list[tuple[Reach, ...]] = []
    thread = threading.Thread(target=lambda: found.append(reach.test(second, other or meeting(2)).reached))
    thread.start()
    mine = reach.test(first, meeting(1)).reached
    thread.join(20)
    return mine, found[0]


def test_both_ends_answer_all_questions_of_each_other() -> None:
    for (reached,), peer, name in zip(
        both([way(FIRST, SECOND)], [way(SECOND, FIRST)]), (SECOND, FIRST), ("spark-02", "spark-01"), strict=True
    ):
        assert reached.peer == peer
        assert (reached.sent, reached.answered, reached.sent_full, reached.answered_full) == (20, 20, 20, 20)
        assert (reached.answers_as, reached.at, reached.says) == (name, "lo", "")


def test_a_half_that_is_silent_is_given_up_once_another_has_answered() -> None:
    (live, dead), _ = both(
        [way(FIRST, SECOND), way("127.0.0.34", "127.0.0.99")], [way(SECOND, FIRST), way(OTHER, "127.0.0.98")]
    )
    assert live.answered == 20
    assert (dead.sent, dead.answered, dead.answers_as) == (0, 0, "")


def test_an_end_of_another_test_is_named_and_counts_nothing() -> None:
    (reached,), _ = both([way(FIRST, SECOND)], [way(SECOND, FIRST)], meeting(2, name="other"))
    assert (reached.answered, reached.answers_as) == (0, "spark-02")


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (way(FIRST, SECOND, interface="nothere0"), "there is no interface nothere0 on this machine"),
        (way("203.0.113.7", SECOND), "this machine has no address 203.0.113.7"),
    ],
)
def test_a_half_that_cannot_be_used_says_why(mine: Way, said: str) -> None:
    (reached,) = reach.test([mine], meeting(1)).reached
    assert (reached.says, reached.sent) == (said, 0)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((FIRST, PORT))
        (reached,) = reach.test([way(FIRST, SECOND)], meeting(1)).reached
    assert reached.says == f"port {PORT} of {FIRST} is taken by another program"


def test_what_is_no_message_is_ignored() -> None:
    stranger = threading.Event()

    def disturb() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            while not stranger.wait(0.01):
                for junk in (b"", b"\xff" * 2000, b"[]", json.dumps({"magic": message.MAGIC}).encode()):
                    sending.sendto(junk, (FIRST, PORT))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        (reached,), _ = both([way(FIRST, SECOND)], [way(SECOND, FIRST)])
    finally:
        stranger.set()
        thread.join()
    assert reached.answered == 20


def test_what_is_larger_than_the_interface_is_lost_and_said_to_be() -> None:
    ((reached,), _) = both([way(FIRST, SECOND, mtu=65_535)], [way(SECOND, FIRST)])
    assert (reached.answered, reached.sent_full) == (20, 20)
    assert reached.size_bytes == 65_535


def test_each_end_knows_whether_the_other_one_has_ib_write_bw() -> None:
    found: list[bool] = []
    second = Meeting("m", "spark-02", "spark-01", measures=True, port=PORT, patience_s=5.0)
    thread = threading.Thread(target=lambda: found.append(reach.test([way(SECOND, FIRST)], second).measures))
    thread.start()
    mine = reach.test([way(FIRST, SECOND)], meeting(1)).measures
    thread.join(20)
    assert (mine, found) == (True, [False])
