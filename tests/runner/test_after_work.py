"""What only the work decides is measured once before it and once after it; without the work it stays undecided."""

from pathlib import Path

import pytest
from suites import driver, example

from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run
from dgxcert.record.state import RunState


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


def validated(profile: Path, results: Path, *options: str, asks: str = "") -> tuple[Run, list[tuple[str, str]]]:
    """The run of the suite, and what it measured in which stage, in order."""
    driver.run("doubted", "validate", "--profile", profile, "--results", results, *options, asks=asks)
    folder = driver.only_run(results)
    started = [event for event in journal.read(folder) if isinstance(event, journal.Started)]
    return runs.load(folder), [(event.key, event.stage) for event in started]


def doubted(run: Run) -> Result:
    return next(result for result in run.results if result.key == "DOUBTED")


def test_it_passes_after_work_that_decides_it_and_both_attempts_are_kept(profile: Path, tmp_path: Path) -> None:
    run, measured = validated(profile, tmp_path)
    assert measured[0] == ("DOUBTED", "host")
    assert measured[1] == ("COMPUTES", "native")
    assert sorted(measured[2:]) == [("AFTERMATH", "after"), ("DOUBTED", "after")]
    assert (doubted(run).outcome, doubted(run).attempts) == (Outcome.PASSED, 2)
    (before,) = doubted(run).earlier_attempts
    assert (before.outcome, before.reason) == (Outcome.INCONCLUSIVE, "a line that may be a fault")


@pytest.mark.parametrize(
    ("options", "asks", "reason"),
    [
        ((), "wrong", "nothing decides: COMPUTES did not pass"),
        (("--only", "DOUBTED"), "", "nothing decides: nothing measured COMPUTES in this run"),
    ],
)
def test_it_stays_inconclusive_where_the_work_does_not_decide_it(
    profile: Path, tmp_path: Path, options: tuple[str, ...], asks: str, reason: str
) -> None:
    run, measured = validated(profile, tmp_path, *options, asks=asks)
    assert (doubted(run).outcome, doubted(run).reason) == (Outcome.INCONCLUSIVE, reason)
    assert [stage for key, stage in measured if key == "DOUBTED"] == ["host", "after"]


def begun(stage: str) -> journal.Started:
    return example.started("DOUBTED").model_copy(update={"stage": stage})


BEFORE = (
    example.opened(example.planned("DOUBTED")),
    begun("host"),
    example.finished("DOUBTED", Outcome.INCONCLUSIVE, after_work=True, evidence=(example.short_of(13.0),)),
)
UNDECIDED = (begun("after"), example.finished("DOUBTED", Outcome.INCONCLUSIVE))
RESUMED = journal.Resumed(at=example.AT, rebooted=False)
REBOOTED = journal.Resumed(at=example.AT, rebooted=True, boot_id="second")


@pytest.mark.parametrize(
    ("events", "stage", "waits"),
    [
        (BEFORE, "host", False),
        (BEFORE, "native", False),
        (BEFORE, "after", True),
        ((*BEFORE, *UNDECIDED), "after", False),
        ((*BEFORE, *UNDECIDED, RESUMED), "after", True),
        ((*BEFORE, *UNDECIDED, RESUMED), "host", False),
        ((*BEFORE, REBOOTED), "after", False),
        ((*BEFORE, begun("after"), example.finished("DOUBTED")), "after", False),
    ],
)
def test_it_waits_for_the_stage_after_the_work_alone(
    events: tuple[journal.Event, ...], stage: str, waits: bool
) -> None:
    assert RunState(events).waits("DOUBTED", stage) is waits


def test_what_was_read_before_the_work_is_that_of_this_boot() -> None:
    name = example.short_of(13.0).name
    assert RunState(BEFORE).read_before_work() == {("DOUBTED", name): 9.8}
    assert RunState((*BEFORE, REBOOTED)).read_before_work() == {}


def test_work_that_begins_outdates_what_was_decided_after_earlier_work() -> None:
    decided = (*BEFORE, begun("after"), example.finished("DOUBTED"))
    state = RunState((*decided, RESUMED, example.started("MORE-WORK"), example.finished("MORE-WORK")))
    assert "DOUBTED" not in state.endings
    assert (state.waits("DOUBTED", "after"), state.waits("DOUBTED", "host")) == (True, False)
