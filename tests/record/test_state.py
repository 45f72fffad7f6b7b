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
    assert (once.children, once.image, once.software.keys()) == (1, example.image_ready().image, {"native"})


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
    assert RunState(events).in_flight == (example.started("B"),)
    assert RunState([*events, RESUMED]).in_flight == (example.started("B"),), (
        "a crash of the resumed run changes nothing"
    )
    assert RunState([*events, example.finished("B")]).in_flight == ()
    assert RunState([OPENED]).in_flight == ()


def test_a_requirement_that_the_user_interrupted_is_not_in_flight() -> None:
    interrupted = journal.Interrupted(by="the user", key="A")
    assert RunState([OPENED, example.started("A"), interrupted]).in_flight == ()
    assert RunState([OPENED, example.started("A"), interrupted, RESUMED, example.started("B")]).in_flight == (
        example.started("B"),
    )


@pytest.mark.parametrize(("rebooted", "how"), [(True, "the machine was restarted"), (False, "the run was killed")])
def test_a_lost_requirement_is_inconclusive_with_the_cause(rebooted: bool, how: str) -> None:
    lost = state.lost(example.started("A"), rebooted=rebooted)
    assert lost.outcome is Outcome.INCONCLUSIVE
    assert lost.reason.startswith(how)
    assert "A" in lost.reason
    assert lost.remedy


DISTURBED = {"reason": "others used the CPU", "repeats": 2}


def started(key: str, child: int = 1, stage: str = "native") -> journal.Started:
    return example.started(key, child).model_copy(update={"stage": stage})


def attempt(key: str, outcome: Outcome, child: int = 1, stage: str = "native", **about: object) -> list[journal.Event]:
    """A requirement is started and ends."""
    return [started(key, child, stage), example.finished(key, outcome, child=child, **about)]


def waiting(events: list[journal.Event]) -> list[str]:
    return [key for key in ("A", "B") if RunState(events).waits(key)]


def inconclusive(key: str, child: int = 1, **about: object) -> list[journal.Event]:
    return attempt(key, Outcome.INCONCLUSIVE, child, **about)


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_what_was_disturbed_is_measured_again_and_the_last_attempt_counts(outcome: Outcome) -> None:
    run = RunState([OPENED, *inconclusive("A", **DISTURBED)])
    assert run.waits("A")
    run = RunState([OPENED, *inconclusive("A", **DISTURBED), *attempt("A", outcome, 2)])
    assert run.endings == {"A": outcome}
    assert [made.finished.outcome for made in run.attempts["A"]] == [Outcome.INCONCLUSIVE, outcome]
    assert not run.waits("A")


@pytest.mark.parametrize("final", [Outcome.PASSED, Outcome.FAILED])
@pytest.mark.parametrize("later", [Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_a_pass_and_a_failure_are_final_even_if_they_are_measured_again(final: Outcome, later: Outcome) -> None:
    events = [OPENED, *attempt("A", final, repeats=2), RESUMED, *attempt("A", later, 2)]
    run = RunState(events)
    assert (run.endings, len(run.attempts["A"]), run.waits("A")) == ({"A": final}, 1, False)


def test_there_are_two_repeats_at_most_however_often_a_run_is_resumed() -> None:
    events: list[journal.Event] = [OPENED]
    for child in (1, 2, 3):
        assert RunState(events).waits("A")
        events += inconclusive("A", child, repeats=9)
    for _ in range(2):
        events.append(RESUMED)
        assert not RunState(events).waits("A")
    run = RunState([*events, *attempt("A", Outcome.PASSED, 4)])
    assert (run.endings, len(run.attempts["A"])) == ({"A": Outcome.INCONCLUSIVE}, 3)
    assert run.in_flight == ()


def test_rounds_that_vary_without_a_cause_are_repeated_once_and_with_a_neighbour_twice() -> None:
    first, second = inconclusive("A", repeats=1), inconclusive("A", 2, repeats=1)
    assert RunState([OPENED, *first]).waits("A")
    assert not RunState([OPENED, *first, *second]).waits("A")
    assert RunState([OPENED, *first, *inconclusive("A", 2, **DISTURBED)]).waits("A")


def test_an_inconclusive_ending_is_measured_again_only_when_the_run_is_resumed() -> None:
    events = [OPENED, *inconclusive("A"), *attempt("B", Outcome.PASSED)]
    assert waiting(events) == []
    assert waiting([*events, RESUMED]) == ["A"]
    again = [*events, RESUMED, *inconclusive("A", 2)]
    assert waiting(again) == [], "once for each time that the run is resumed"
    assert waiting([*again, RESUMED]) == ["A"]


@pytest.mark.parametrize("boot_id", ["second", None])
def test_nothing_is_measured_again_after_a_restart_of_the_machine(boot_id: str | None) -> None:
    restarted = journal.Resumed(at="2026-11-23T19:00:00.000Z", rebooted=True, boot_id=boot_id)
    lost = state.lost(example.started("B"), rebooted=True)
    events = [OPENED, *inconclusive("A", **DISTURBED), example.started("B"), restarted, lost]
    assert waiting(events) == []
    later = RunState([*events, *attempt("A", Outcome.PASSED, 2), *attempt("B", Outcome.PASSED, 2)])
    assert later.endings == {"A": Outcome.INCONCLUSIVE, "B": Outcome.INCONCLUSIVE}


def test_what_was_in_flight_when_only_the_run_was_killed_is_measured_again() -> None:
    events = [OPENED, example.started("A"), RESUMED, state.lost(example.started("A"), rebooted=False)]
    assert waiting(events) == ["A", "B"]
    assert RunState([*events, *attempt("A", Outcome.PASSED, 2)]).endings == {"A": Outcome.PASSED}


def test_a_repeat_that_was_in_flight_when_the_machine_went_down_stays_inconclusive() -> None:
    killed = [OPENED, *inconclusive("A", **DISTURBED), example.started("A", 2)]
    assert RunState(killed).in_flight == (example.started("A", 2),)
    restarted = RESUMED.model_copy(update={"rebooted": True})
    run = RunState([*killed, restarted, state.lost(example.started("A", 2), rebooted=True)])
    assert (run.in_flight, run.waits("A"), len(run.attempts["A"])) == ((), False, 2)


def test_a_process_that_outlived_its_kill_does_not_end_the_next_attempt() -> None:
    events = [OPENED, *inconclusive("A"), RESUMED, started("A", 2)]
    run = RunState([*events, example.finished("A", child=1)])
    assert (run.endings["A"], run.in_flight) == (Outcome.INCONCLUSIVE, (started("A", 2),))
    run.take(example.finished("A", child=2))
    assert (run.endings["A"], run.in_flight) == (Outcome.PASSED, ())


def test_an_interrupted_repeat_leaves_the_ending_before_it() -> None:
    interrupted = journal.Interrupted(by="the user", key="A")
    run = RunState([OPENED, *inconclusive("A", **DISTURBED), started("A", 2), interrupted])
    assert (run.endings, run.in_flight) == ({"A": Outcome.INCONCLUSIVE}, ())
    assert run.waits("A")


@pytest.mark.parametrize(
    ("outcome", "counts"), [(Outcome.PASSED, False), (Outcome.INCONCLUSIVE, False), (Outcome.FAILED, True)]
)
def test_work_outdates_what_was_checked_after_it_unless_that_failed(outcome: Outcome, counts: bool) -> None:
    events = [OPENED, *inconclusive("A"), *attempt("B", outcome, stage="after"), RESUMED, started("A", 2)]
    run = RunState(events)
    assert ("B" in run.endings, run.waits("B")) == (counts, not counts)
    assert len(run.attempts["B"]) == 1, "it is kept"
    again = RunState([*events, example.finished("A", child=2), *attempt("B", Outcome.PASSED, 3, stage="after")])
    assert again.endings["B"] is (Outcome.FAILED if counts else Outcome.PASSED)


def test_repeats_that_are_taken_twice_change_nothing() -> None:
    events = [OPENED, *inconclusive("A", **DISTURBED), *inconclusive("A", 2, repeats=0), RESUMED, *inconclusive("A", 3)]
    once, twice = RunState(events), RunState()
    for event in events:
        twice.take(event)
        twice.take(event)
    assert vars(twice) == vars(once)


def test_each_child_measures_one_requirement_and_several_children_several() -> None:
    run = RunState([OPENED, started("A", 1), started("B", 2)])
    assert run.in_flight == (started("A", 1), started("B", 2))
    run.take(example.finished("A", child=2))
    assert run.in_flight == (started("A", 1), started("B", 2)), "the one that does not measure it cannot end it"
    run.take(example.finished("A", child=1))
    assert (run.in_flight, run.endings) == ((started("B", 2),), {"A": Outcome.PASSED})


def test_all_that_was_in_flight_is_lost_with_the_run_and_measured_again() -> None:
    killed = [OPENED, started("A", 1), started("B", 2), RESUMED]
    lost = [state.lost(each, rebooted=False) for each in RunState(killed).in_flight]
    assert [event.key for event in lost] == ["A", "B"]
    run = RunState([*killed, *lost])
    assert (run.in_flight, run.waits("A"), run.waits("B")) == ((), True, True)


def test_what_an_earlier_process_measured_is_no_longer_in_flight_once_the_resumed_one_measures() -> None:
    assert RunState([OPENED, started("A", 1), RESUMED, started("B", 2)]).in_flight == (started("B", 2),)
    assert RunState([OPENED, started("A", 1), started("B", 1)]).in_flight == (started("B", 1),)
