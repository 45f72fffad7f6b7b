"""The clock of a run: a record whose dates, order and stopwatches disagree is not believed."""

from datetime import UTC, datetime, timedelta

import pytest
from suites import example
from suites.example import finished, opened, planned

from dgxcert.outcome import Outcome
from dgxcert.record import clock, journal
from dgxcert.record import run as runs
from dgxcert.record.journal import Event, Finished, Started

BEGAN = datetime(2026, 11, 23, 18, 40, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def started(seconds: float, key: str = "A") -> Started:
    return Started(at=at(seconds), key=key, stage="native", child=1)


def ended(seconds: float, took_s: float, key: str = "A", outcome: Outcome = Outcome.PASSED) -> Finished:
    return Finished(at=at(seconds), key=key, outcome=outcome, duration_s=took_s)


def problem(*events: Event) -> str:
    return clock.problem([opened(planned("A"), planned("B")), *events])


@pytest.mark.parametrize(
    "events",
    [
        (),
        (started(0), ended(2.5, 2.5)),
        (started(0), ended(4.9, 0.0)),
        (started(0), ended(3600, 3560.0)),
        (started(1), ended(2, 1.0), started(0.5, "B"), ended(3, 2.0, "B")),
        (started(0), journal.Resumed(at=at(7 * 86400), rebooted=False), started(7 * 86400), ended(7 * 86400 + 2, 2.0)),
        (started(0), ended(9000, 0.0, outcome=Outcome.INCONCLUSIVE)),
    ],
    ids=["nothing", "exact", "within 5 s", "within 2 %", "two processes", "resumed later", "lost"],
)
def test_a_record_of_one_clock_has_no_problem(events: tuple[Event, ...]) -> None:
    assert problem(*events) == ""


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((started(0), ended(-10, 2.0)), "its clock was set back, or its lines are out of order"),
        ((started(-3),), "its clock was set back"),
        ((started(60), ended(61, 1.0), started(57, "B"), ended(62, 5.0, "B")), "its clock was set back"),
        ((started(0), ended(7202, 2.0)), "during A: 7202 s passed by the clock and 2 s by the stopwatch"),
        ((started(0), ended(10, 4.7)), "during A: 10 s passed by the clock and 5 s by the stopwatch"),
        ((started(0), ended(10, 900.0)), "during A: 10 s passed by the clock and 900 s by the stopwatch"),
        ((started(0), ended(3700, 3600.0, outcome=Outcome.FAILED)), "its clock was set, or the machine slept"),
    ],
)
def test_a_clock_that_was_set_is_named(events: tuple[Event, ...], words: str) -> None:
    assert words in problem(*events)


@pytest.mark.parametrize(("seconds", "future"), [(-300, True), (0, True), (1, False), (300, False)])
def test_a_run_in_the_future_is_named_beyond_a_tolerance(seconds: float, future: bool) -> None:
    events = [opened(), started(301)]
    said = clock.in_future(events, BEGAN + timedelta(seconds=seconds))
    assert said.startswith("it was measured in the future: at 2026-11-23 18:45 UTC, and here it is ") is future
    assert bool(said) is future


def test_the_first_measurement_is_the_earliest_start() -> None:
    assert clock.first_measurement([opened(), started(30), started(20, "B"), started(90)]) == at(20)
    assert clock.first_measurement([opened()]) is None


@pytest.mark.parametrize("text", ["yesterday", "2026-11-23T18:40:12", ""])
def test_a_line_without_a_time_and_its_zone_is_no_event(text: str) -> None:
    line = example.started("A").model_dump_json()
    assert journal.parse(line) is not None
    assert journal.parse(line.replace(example.AT, text)) is None


def certified(*events: Event) -> runs.Run:
    from suites.certified import whole

    return runs.assemble([*whole(), *events], "run")


def test_a_run_of_one_clock_and_boot_can_certify() -> None:
    assert certified().judgement.verdict.value == "CERTIFIED"
    assert certified(journal.Resumed(at=at(5), rebooted=False)).judgement.verdict.value == "CERTIFIED"


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (journal.Resumed(at=at(60), rebooted=True), "the machine was restarted during the run"),
        (finished("DISK-SPACE").model_copy(update={"at": at(-60)}), "its clock was set back, or its lines are out of"),
    ],
)
def test_a_run_of_two_boots_or_a_clock_that_was_set_certifies_nothing(event: Event, note: str) -> None:
    run = certified(event)
    assert run.judgement.verdict.value == "REHEARSED"
    assert [each for each in run.notes if each.startswith(note) and each.endswith("so this run certifies nothing")]


def test_a_run_says_when_its_first_measurement_began() -> None:
    assert runs.assemble([opened(planned("A")), started(30), started(50)], "run").measured == at(30)
    assert runs.assemble([opened(planned("A"))], "run").measured is None
