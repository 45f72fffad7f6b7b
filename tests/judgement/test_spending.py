"""Seconds are counted once, for the innermost span, whatever is raised in it."""

import threading
from collections.abc import Iterator

import pytest

from dgxcert.judgement.spending import Ledger, Spent


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    return Clock()


def test_a_span_within_another_counts_for_itself_only(clock: Clock) -> None:
    ledger = Ledger(clock)
    with ledger.on(Spent.MEASURING):
        clock.now += 2
        with ledger.on(Spent.WAITING):
            clock.now += 3
        clock.now += 4
    clock.now += 50
    assert ledger.seconds == {Spent.MEASURING: 6.0, Spent.WAITING: 3.0}
    assert list(ledger.seconds) == [Spent.MEASURING, Spent.WAITING]


def test_what_is_raised_closes_every_span_in_it(clock: Clock) -> None:
    ledger = Ledger(clock)

    @ledger.on(Spent.BUILDING)
    def build() -> None:
        clock.now += 1
        with ledger.on(Spent.WAITING):
            clock.now += 1
            raise ValueError("no model")

    with pytest.raises(ValueError, match="no model"):
        build()
    clock.now += 10
    with ledger.on(Spent.VERIFYING):
        clock.now += 5
    assert ledger.seconds == {Spent.BUILDING: 1.0, Spent.VERIFYING: 5.0, Spent.WAITING: 1.0}


def test_a_span_turns_to_something_else_and_outside_of_one_nothing_turns(clock: Clock) -> None:
    ledger = Ledger(clock)
    ledger.turn_to(Spent.MEASURING)
    clock.now += 7
    with ledger.on(Spent.WARMING_UP):
        clock.now += 1
        ledger.turn_to(Spent.MEASURING)
        clock.now += 2
    assert ledger.seconds == {Spent.WARMING_UP: 1.0, Spent.MEASURING: 2.0}


def test_another_requirement_begins_anew_and_what_took_no_time_is_not_kept(clock: Clock) -> None:
    ledger = Ledger(clock)
    with ledger.on(Spent.BUILDING):
        clock.now += 1
    ledger.begin()
    with ledger.on(Spent.VERIFYING):
        clock.now += 0.0004
    assert ledger.seconds == {}


def test_a_function_can_be_a_span_again_and_again(clock: Clock) -> None:
    ledger = Ledger(clock)

    @ledger.on(Spent.BUILDING)
    def build(seconds: float) -> str:
        clock.now += seconds
        return "model"

    assert [build(1.0), build(2.0)] == ["model", "model"]
    assert ledger.seconds == {Spent.BUILDING: 3.0}


def test_spans_of_another_thread_count_nothing(clock: Clock) -> None:
    ledger = Ledger(clock)

    def beside() -> None:
        ledger.turn_to(Spent.WAITING)
        with ledger.on(Spent.VERIFYING):
            clock.now += 2

    with ledger.on(Spent.MEASURING):
        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
    assert ledger.seconds == {Spent.MEASURING: 2.0}


def test_the_thread_that_begins_a_requirement_is_the_one_that_counts(clock: Clock) -> None:
    ledger = Ledger(clock)

    def measure() -> None:
        ledger.begin()
        with ledger.on(Spent.BUILDING):
            clock.now += 2

    thread = threading.Thread(target=measure)
    thread.start()
    thread.join()
    assert ledger.seconds == {Spent.BUILDING: 2.0}
