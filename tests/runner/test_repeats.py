"""A benchmark that was disturbed is measured again, twice at most; a pass and a failure are final; all is kept."""

import json
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from suites import driver, example

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record import journal, timings
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run

ONCE, ALWAYS, UNEXPLAINED = "RATE[once]", "RATE[always]", "RATE[unexplained]"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


def result(run: Run, key: str) -> Result:
    return next(result for result in run.results if result.key == key)


def validated(profile: Path, results: Path, asks: str = "") -> tuple[str, Path]:
    """What a run of the suite prints, and its folder."""
    ended = driver.run("disturbed", "validate", "--profile", profile, "--results", results, asks=asks)
    return ended.stdout, driver.only_run(results)


@pytest.fixture(scope="module")
def ended(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return validated(profile, tmp_path_factory.mktemp("results"), "always unexplained")


@pytest.fixture(scope="module")
def run(ended: tuple[str, Path]) -> Run:
    return runs.load(ended[1])


def test_a_benchmark_that_was_disturbed_once_passes_with_its_attempts(run: Run) -> None:
    once = result(run, ONCE)
    assert (once.outcome, once.attempts) == (Outcome.PASSED, 2)
    (disturbed,) = once.earlier_attempts
    assert (disturbed.outcome, disturbed.reason) == (
        Outcome.INCONCLUSIVE,
        "rounds spread 541%, other processes used 61% of the CPU",
    )
    assert (disturbed.evidence[0].value, once.evidence[0].value) == (1.0, 2.0)
    assert disturbed.started is not None
    assert once.started is not None
    assert disturbed.started < once.started


def test_one_that_is_always_disturbed_is_inconclusive_after_two_repeats_and_without_a_cause_after_one(run: Run) -> None:
    assert (result(run, ALWAYS).outcome, result(run, ALWAYS).attempts) == (Outcome.INCONCLUSIVE, 3)
    assert "rounds spread 341%" in result(run, ALWAYS).reason, "the last inconclusive ending counts"
    assert (result(run, UNEXPLAINED).outcome, result(run, UNEXPLAINED).attempts) == (Outcome.INCONCLUSIVE, 2)


def test_neither_a_pass_nor_a_check_is_measured_again(run: Run) -> None:
    assert [result(run, key).attempts for key in ("RATE[quiet]", "UNSURE", "AFTERMATH")] == [1, 1, 1]
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


def test_it_is_measured_again_when_all_others_of_its_stage_have_ended(ended: tuple[str, Path]) -> None:
    events = journal.read(ended[1])
    started = [(event.key, event.child) for event in events if isinstance(event, journal.Started)]
    again = [(ONCE, 2), (ALWAYS, 2), (UNEXPLAINED, 2), (ALWAYS, 3), ("AFTERMATH", 4)]
    assert started[-5:] == again
    assert [child for _, child in started[:-5]] == [1] * (len(started) - 5)


def test_the_benchmark_file_holds_the_attempt_that_counts(ended: tuple[str, Path]) -> None:
    amounts = {key: timing.amount for key, timing in timings.read(ended[1]).items()}
    assert amounts == {"RATE[quiet]": 1.0, ONCE: 2.0, ALWAYS: 3.0, UNEXPLAINED: 2.0}
    content = json.loads((ended[1] / "benchmark.json").read_text(encoding="utf-8"))
    assert len(content["benchmarks"]) == 4


def test_every_report_shows_the_attempts(ended: tuple[str, Path]) -> None:
    printed, folder = ended
    line = "measured 2 times; before: inconclusive, rounds spread 541%, other processes used 61% of the CPU"
    assert "it is measured again" in printed
    for text in (printed, (folder / "summary.md").read_text("utf-8"), (folder / "report.html").read_text("utf-8")):
        assert line in " ".join(text.split())
    cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")
    attempts = {
        case.get("name"): case.find("properties/property[@name='attempts']").get("value")  # type: ignore[union-attr]
        for case in cases
    }
    assert attempts == {"RATE[quiet]": "1", ONCE: "2", ALWAYS: "3", UNEXPLAINED: "2", "UNSURE": "1", "AFTERMATH": "1"}


def test_a_failure_after_a_disturbed_attempt_is_final(profile: Path, tmp_path: Path) -> None:
    _, folder = validated(profile, tmp_path, "slow")
    run = runs.load(folder)
    assert (result(run, ONCE).outcome, result(run, ONCE).attempts) == (Outcome.FAILED, 2)
    resumed = driver.run("disturbed", "validate", "--resume", folder)
    assert resumed.returncode == 1
    run = runs.load(folder)
    assert (result(run, ONCE).outcome, result(run, ONCE).attempts) == (Outcome.FAILED, 2)
    assert run.judgement.verdict is Verdict.REJECTED


def test_what_is_inconclusive_is_measured_again_on_resume_and_then_what_work_left(
    profile: Path, tmp_path: Path
) -> None:
    _, folder = validated(profile, tmp_path)
    first = runs.load(folder)
    assert (first.judgement.verdict, result(first, "UNSURE").reason) == (Verdict.INCONCLUSIVE, "the meter warms up")
    resumed = driver.run("disturbed", "validate", "--resume", folder)
    run = runs.load(folder)
    assert (resumed.returncode, run.judgement.verdict) == (0, Verdict.REHEARSED)
    assert [earlier.reason for earlier in result(run, "UNSURE").earlier_attempts] == ["the meter warms up"]
    assert result(run, "AFTERMATH").evidence[0].value > result(first, "AFTERMATH").evidence[0].value
    assert [earlier.outcome for earlier in result(run, "AFTERMATH").earlier_attempts] == [Outcome.PASSED]
    assert result(run, ONCE) == result(first, ONCE), "what passed is not measured again"
    again = driver.run("disturbed", "validate", "--resume", folder)
    assert again.returncode == 3
    assert "Nothing waits" in again.stdout


@pytest.mark.parametrize(("by", "ended_early"), [(signal.SIGINT, "interrupted"), (signal.SIGKILL, "killed")])
def test_a_repeat_that_is_cut_short_continues(
    profile: Path, tmp_path: Path, by: signal.Signals, ended_early: str
) -> None:
    process = driver.start("disturbed", "validate", "--profile", profile, "--results", tmp_path, asks="sleep")
    folder = driver.wait_until_measuring(tmp_path, ONCE, times=2)
    process.send_signal(by)
    process.communicate(timeout=60)
    if by is signal.SIGINT:
        cut = runs.load(folder)
        assert (result(cut, ONCE).outcome, result(cut, ONCE).attempts) == (Outcome.INCONCLUSIVE, 1)
    resumed = driver.run("disturbed", "validate", "--resume", folder)
    assert resumed.returncode == 0, resumed.stdout
    run = runs.load(folder)
    reasons = [earlier.reason for earlier in result(run, ONCE).earlier_attempts]
    assert result(run, ONCE).outcome is Outcome.PASSED
    assert ["the run was killed" in reason for reason in reasons] == ([False] if by is signal.SIGINT else [False, True])
    assert any(ended_early in text for text in (*run.notes, *reasons))
