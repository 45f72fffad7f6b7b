"""The state of a run follows from its record, read at once or event by event."""

import pytest
from suites import example

from dgxcert.outcome import Outcome
from dgxcert.record import journal, state
from dgxcert.record.state import RunState

OPENED = example.opened(example.planned("A"), example.planned("B"))
RESUMED = journal.Resumed(at=example.AT, rebooted=False)


def test_the_first_outcome_of_a_requirement_counts() -> None:
    run = RunState([OPENED, example.finished("A", Outcome.FAILED), example.finished("A"), example.finished("B")])
    assert run.endings == {"A": Outcome.FAILED, "B": Outcome.PASSED}
    assert (run.finished, run.passed) == ({"A", "B"}, {"B"})


def test_an_event_that_is_taken_twice_changes_nothing() -> None:
    once, twice = RunState(example.every_event()), RunState()
    for event in example.every_event():
        twice.take(event)
        twice.take(event)
    assert vars(twice) == vars(once)
    assert (once.attempts, once.image, once.software.keys()) == (1, example.image_ready().image, {"native"})


@pytest.mark.parametrize(
    ("events", "boot_id"),
    [
        ([], "first"),
        ([RESUMED], "first"),
        ([RESUMED.model_copy(update={"boot_id": "second"})], "second"),
        ([RESUMED.model_copy(update={"boot_id": "second"}), RESUMED], "second"),
    ],
)
def test_the_boot_is_that_of_the_last_start_or_resume_with_a_boot_id(events: list[journal.Event], boot_id: str) -> None:
    machine = example.MACHINE.model_copy(update={"boot_id": "first"})
    assert RunState([example.opened(machine=machine), *events]).boot_id == boot_id


def test_a_started_requirement_at_the_end_of_the_record_is_in_flight() -> None:
    events = [OPENED, example.started("A"), example.finished("A"), example.started("B")]
    assert RunState(events).in_flight == example.started("B")
    assert RunState([*events, RESUMED]).in_flight == example.started("B"), "a crash of the resumed run changes nothing"
    assert RunState([*events, example.finished("B")]).in_flight is None
    assert RunState([OPENED]).in_flight is None


def test_a_requirement_that_the_user_interrupted_is_not_in_flight() -> None:
    interrupted = journal.Interrupted(by="the user", key="A")
    assert RunState([OPENED, example.started("A"), interrupted]).in_flight is None
    assert RunState([OPENED, example.started("A"), interrupted, RESUMED, example.started("B")]).in_flight is not None


@pytest.mark.parametrize(("rebooted", "how"), [(True, "the machine was restarted"), (False, "the run was killed")])
def test_a_lost_requirement_is_inconclusive_with_the_cause(rebooted: bool, how: str) -> None:
    lost = state.lost(example.started("A"), rebooted=rebooted)
    assert lost.outcome is Outcome.INCONCLUSIVE
    assert lost.reason.startswith(how)
    assert "A" in lost.reason
    assert lost.remedy
