"""Resumption: a run continues only where something waits that it can measure, in what it was started with."""

from pathlib import Path

import pytest
from suites import example
from suites.example import finished, opened, planned, started

from dgxcert.judgement.requirement import Stage
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import suite
from dgxcert.plan.options import Options
from dgxcert.profiles import profile as profiles
from dgxcert.record import journal
from dgxcert.record.journal import Event
from dgxcert.record.state import RunState
from dgxcert.runner import resumption

GATE = planned("DISK-SPACE", stage=Stage.HOST, gate=True)
CLOCK = planned("CLOCK-SYNCHRONISED", stage=Stage.HOST)
COMPUTES = planned("CONTAINER-COMPUTES", stage=Stage.IMAGE, gate=True)
DECODE = planned("DECODE-SPEED")
AFTER = planned("GPU-XID-AFTER", stage=Stage.AFTER)
ELSEWHERE = planned("GPU-PRESENT", not_applicable="no GPU here")
PLAN = (GATE, CLOCK, COMPUTES, DECODE, AFTER, ELSEWHERE)
IN_DOCKER = Options(profile="cpu", runtime=Runtime.DOCKER)


def left(*events: Event, options: Options = IN_DOCKER) -> list[str]:
    begun = opened(*PLAN, options=options)
    return [entry.key for entry in resumption.waiting(begun, RunState([begun, *events]))]


def test_what_was_never_started_waits() -> None:
    assert left() == ["DISK-SPACE", "CLOCK-SYNCHRONISED", "CONTAINER-COMPUTES", "DECODE-SPEED", "GPU-XID-AFTER"]
    assert left(finished("DISK-SPACE"), finished("CONTAINER-COMPUTES"), started("DECODE-SPEED")) == [
        *("CLOCK-SYNCHRONISED", "DECODE-SPEED", "GPU-XID-AFTER")
    ]


@pytest.mark.parametrize("ending", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_what_is_behind_a_closed_gate_does_not_wait(ending: Outcome) -> None:
    closed = finished("DISK-SPACE", ending)
    assert left(closed) == ["CLOCK-SYNCHRONISED"]
    assert left(closed, finished("CLOCK-SYNCHRONISED")) == []
    assert left(finished("DISK-SPACE"), finished("CONTAINER-COMPUTES", ending)) == ["CLOCK-SYNCHRONISED"]


def test_outside_the_container_nothing_is_behind_a_gate() -> None:
    native = Options(profile="cpu", runtime=Runtime.NATIVE)
    assert "DECODE-SPEED" in left(finished("DISK-SPACE", Outcome.FAILED), options=native)


def test_a_run_in_which_only_a_closed_gate_is_left_names_the_gate(tmp_path: Path) -> None:
    begun = opened(*PLAN, options=IN_DOCKER)
    state = RunState([begun, finished("DISK-SPACE", Outcome.FAILED), finished("CLOCK-SYNCHRONISED")])
    with pytest.raises(CannotStart, match=r"3 requirements were never started, and it needs DISK-SPACE to pass first"):
        resumption.require_waiting(begun, state, tmp_path)


def test_a_run_in_which_everything_ended_is_refused_with_its_date(tmp_path: Path) -> None:
    begun = opened(DECODE)
    writer = journal.Writer(tmp_path)
    for event in (begun, started("DECODE-SPEED"), finished("DECODE-SPEED")):
        writer.append(event)
    with pytest.raises(CannotStart, match=rf"all 1 requirements ended, the last before {example.AT}.*Start a new run"):
        resumption.require_waiting(begun, RunState(journal.read(tmp_path)), tmp_path)


RESUMED = journal.Resumed(at=example.AT, rebooted=False)
OPEN = (finished("DISK-SPACE"), finished("CLOCK-SYNCHRONISED"), finished("CONTAINER-COMPUTES"))


def test_what_ended_inconclusive_waits_once_the_run_is_resumed() -> None:
    undecided = (started("DECODE-SPEED"), finished("DECODE-SPEED", Outcome.INCONCLUSIVE))
    ended = (*OPEN, *undecided, finished("GPU-XID-AFTER"))
    assert left(*ended) == []
    assert left(*ended, RESUMED) == ["DECODE-SPEED"]
    assert left(*ended, RESUMED.model_copy(update={"rebooted": True})) == []


def test_an_inconclusive_gate_waits_with_all_that_is_behind_it() -> None:
    ended = (finished("DISK-SPACE", Outcome.INCONCLUSIVE), finished("CLOCK-SYNCHRONISED"))
    assert left(*ended, RESUMED) == ["DISK-SPACE", "CONTAINER-COMPUTES", "DECODE-SPEED", "GPU-XID-AFTER"]
    assert left(*ended, RESUMED, *2 * (started("DISK-SPACE"), ended[0])) == []


def test_a_run_whose_inconclusive_requirement_was_repeated_twice_is_refused(tmp_path: Path) -> None:
    begun, undecided = opened(DECODE), (started("DECODE-SPEED"), finished("DECODE-SPEED", Outcome.INCONCLUSIVE))
    writer = journal.Writer(tmp_path)
    for event in (begun, *3 * undecided):
        writer.append(event)
    state = RunState([*journal.read(tmp_path), RESUMED])
    with pytest.raises(CannotStart, match=r"inconclusive \(DECODE-SPEED\) was measured 3 times"):
        resumption.require_waiting(begun, state, tmp_path)


@pytest.mark.parametrize(
    ("field", "found"), [("modified", True), ("modified", None), ("commit", "other"), ("sha256", "1")]
)
def test_a_suite_that_is_not_what_it_was_is_refused(field: str, found: object) -> None:
    begun = opened(DECODE)
    changed = begun.suite.model_copy(update={field: found})
    with pytest.raises(CannotStart, match=r"suite"):
        resumption.require_same(begun, RunState([begun]), begun.machine, changed)
    resumption.require_same(begun, RunState([begun]), begun.machine, begun.suite)


@pytest.mark.parametrize(("field", "found"), [("sha256", "1"), ("commit", "other"), ("sha256", "00")])
@pytest.mark.parametrize("certifies", [True, False])
def test_a_suite_that_changes_during_a_run_that_may_certify_is_named(
    monkeypatch: pytest.MonkeyPatch, field: str, found: str, certifies: bool
) -> None:
    begun = opened(DECODE, profile=profiles.load("dgx-spark" if certifies else "cpu"))
    current = begun.suite.model_copy(update={field: found, "reason": "checks/a.py was changed"})
    monkeypatch.setattr(suite, "identity", lambda _: current)
    said = "the suite was changed while it ran: checks/a.py was changed; start a new run"
    assert resumption.suite_changed(begun) == (said if certifies and current.sha256 + current.commit != "00abc" else "")


@pytest.mark.parametrize(
    ("events", "boot", "signed", "measures"),
    [
        ((*OPEN, finished("DECODE-SPEED"), finished("GPU-XID-AFTER")), "b1", False, False),
        ((*OPEN, finished("DECODE-SPEED", Outcome.INCONCLUSIVE), finished("GPU-XID-AFTER")), "b1", False, True),
        ((*OPEN, finished("DECODE-SPEED", Outcome.INCONCLUSIVE), finished("GPU-XID-AFTER")), "b2", False, False),
        ((*OPEN, started("DECODE-SPEED")), "b1", False, True),
        ((*OPEN, started("DECODE-SPEED")), "b2", False, True),
        ((*OPEN, started("DECODE-SPEED")), "b1", True, False),
        ((finished("DISK-SPACE", Outcome.FAILED), finished("CLOCK-SYNCHRONISED")), "b1", False, False),
    ],
    ids=["all ended", "inconclusive", "restarted", "cut short", "cut short, restarted", "signed", "gate closed"],
)
def test_a_run_is_said_to_wait_where_a_resume_would_measure(
    events: tuple[Event, ...], boot: str, signed: bool, measures: bool, tmp_path: Path
) -> None:
    machine = example.MACHINE.model_copy(update={"boot_id": "b1"})
    record = example.record(opened(*PLAN, options=IN_DOCKER, machine=machine), *events)
    (tmp_path / journal.NAME).write_text(record, encoding="utf-8")
    if signed:
        (tmp_path / "certificate.json").touch()
    assert resumption.would_measure(tmp_path, boot) is measures
    assert (tmp_path / journal.NAME).read_text(encoding="utf-8") == record, "asking changes nothing"


def test_where_there_is_no_record_nothing_waits(tmp_path: Path) -> None:
    assert not resumption.would_measure(tmp_path, "b1")
