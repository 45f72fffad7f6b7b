"""The state of a room's hosts: what each event changes, and what it leaves."""

import pytest

from dgxcert.record.room.word import Word
from dgxcert.room import state
from dgxcert.room.state import HostState, RoomEvent, Stage, advanced

AT = "2026-12-01T02:00:00+00:00"


def event(kind: str, host: str = "a", **fields: object) -> RoomEvent:
    return RoomEvent.model_validate({"at": AT, "host": host, "kind": kind, **fields})


def folded(*events: RoomEvent) -> HostState:
    return state.fold(events, ["a"])["a"]


def test_hosts_have_the_order_of_the_inventory_and_one_without_an_event_waits() -> None:
    hosts = state.fold([event("begun", "b"), event("begun", "gone")], ["c", "b", "a"])
    assert [(host.name, host.stage) for host in hosts.values()] == [
        ("c", Stage.WAITS),
        ("b", Stage.WORKS),
        ("a", Stage.WAITS),
    ]


def test_a_look_says_how_far_it_is_and_that_it_is_there_again() -> None:
    host = folded(event("begun"), event("lost", said="no route"), event("seen", done=5, total=41, current="GPU-XID"))
    assert (host.done, host.total, host.current, host.lost, host.stage) == (5, 41, "GPU-XID", 0, Stage.WORKS)


def test_a_host_that_is_being_stopped_stays_so_while_it_answers() -> None:
    host = folded(event("begun"), event("stage", stage="stops"), event("begun"), event("seen", done=5, total=41))
    assert (host.stage, host.done) == (Stage.STOPS, 5)


def test_losses_count_while_nothing_else_is_heard() -> None:
    assert folded(event("begun"), event("lost"), event("lost"), event("stage", stage="works")).lost == 2


@pytest.mark.parametrize(
    ("events", "under_way"),
    [
        ((), False),
        ((event("stage", stage="begins"),), False),
        ((event("begun"),), True),
        ((event("begun"), event("word", word=Word.UNDER_WAY)), True),
        ((event("begun"), event("exit", ending="ended", exit=0)), True),
        ((event("begun"), event("exit", ending="ended", exit=0), event("word", word=Word.VALIDATED)), False),
        ((event("begun"), event("word", word=Word.STOPPED)), False),
        ((event("begun"), event("exit", ending="ended", exit=3), event("begun")), True),
    ],
)
def test_under_way_is_what_was_begun_and_has_no_word(events: tuple[RoomEvent, ...], under_way: bool) -> None:
    assert folded(*events).under_way is under_way


def test_an_ending_keeps_why() -> None:
    host = folded(event("word", word=Word.REFUSED, said="nothing listens", remedy=("Look.",)))
    assert (host.word, host.said, host.remedy, host.stage) == (Word.REFUSED, "nothing listens", ("Look.",), Stage.ENDED)


def test_a_host_that_is_tried_again_has_no_word_until_it_ends_again() -> None:
    host = folded(event("word", word=Word.REFUSED, remedy=("Look.",)), event("stage", stage=Stage.ANSWERS))
    assert (host.word, host.remedy) == (None, ())


def test_what_a_host_said_is_kept_in_part_only() -> None:
    assert len(advanced(HostState("a"), event("lost", said="x" * 10_000)).said) == state.LONGEST["said"]


def test_the_identity_stays_known() -> None:
    answered = event("said", identity={"machine-id": "1"}, answers="dgxcert user=lab")
    host = folded(answered, event("said", said="more"), event("begun"))
    assert (host.identity, host.answers) == ({"machine-id": "1"}, "dgxcert user=lab")
