"""Lanes: GPUs are measured at the same time, what they share alone, and a fault of one costs its requirement alone."""

import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from suites import driver, example

from dgxcert.outcome import Outcome
from dgxcert.plan import lanes
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.journal import ChildStarted, Event, Finished, Started


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


class Ran:
    """One run of the suite that sleeps, with this many GPUs and faults."""

    def __init__(self, profile: Path, results: Path, asks: str) -> None:
        self.pids = results.with_name(f"{results.name}-pids")
        self.pids.touch()
        self.process = driver.run(
            "side_by_side", "validate", "--profile", profile, "--results", results, asks=asks, pids=str(self.pids)
        )
        self.folder = driver.only_run(results)
        self.run = runs.load(self.folder)
        self.events = journal.read(self.folder)

    def of(self, key: str) -> list[Event]:
        return [event for event in self.events if getattr(event, "key", None) == key]

    def outcomes(self) -> dict[str, Outcome]:
        return {result.key: result.outcome for result in self.run.results if result.outcome is not Outcome.PASSED}

    def leaves_nothing(self) -> bool:
        children = [event.pid for event in self.events if isinstance(event, ChildStarted)]
        return driver.all_end([*children, *map(int, self.pids.read_text().split())])


def seconds_of(events: list[Event], kind: str) -> tuple[datetime, datetime]:
    times = [datetime.fromisoformat(event.at) for event in events if getattr(event, "key", "").startswith(kind)]
    return min(times), max(times)


@pytest.fixture(scope="module")
def quick(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Three GPUs, of which nothing is wrong."""
    return Ran(profile, tmp_path_factory.mktemp("quick"), "3")


def in_flight_at_most(events: list[Event]) -> int:
    flying, most = 0, 0
    for event in events:
        flying += isinstance(event, Started) - isinstance(event, Finished)
        most = max(most, flying)
    return most


def test_each_gpu_has_a_child_of_its_own_and_all_of_them_measure_at_the_same_time(quick: Ran) -> None:
    assert quick.outcomes() == {}
    assert quick.process.returncode == 0
    assert in_flight_at_most(quick.events) == 3
    children = {event.number: event for event in quick.events if isinstance(event, ChildStarted)}
    assert [(child.phase, child.gpu) for child in children.values() if child.gpu is None] == [(0, None), (2, None)]
    assert sorted(child.gpu for child in children.values() if child.gpu is not None) == [0, 1, 2]
    for event in quick.events:
        if isinstance(event, Started) and event.key.startswith(("SLOW", "FAULT", "BOUND", "TIMED")):
            assert children[event.child].gpu == lanes.gpu_of(event.key)


def test_what_the_gpus_share_is_measured_with_nothing_beside_it(quick: Ran) -> None:
    beside = seconds_of(quick.events, "SLOW")
    assert seconds_of(quick.events, "SHARED")[1] <= beside[0]
    assert seconds_of(quick.events, "OF-ALL")[1] <= beside[0]
    assert seconds_of(quick.events, "DISK")[0] >= max(beside[1], seconds_of(quick.events, "TIMED")[1])


def test_every_lane_keeps_its_benchmarks_and_its_log(quick: Ran) -> None:
    text = (quick.folder / "benchmark.json").read_text(encoding="utf-8")
    assert all(f"test_is_timed_on_each_gpu[gpu{index}]" in text for index in range(3))
    assert [path.name for path in sorted((quick.folder / "inside").glob("gpu*"))] == ["gpu0", "gpu1", "gpu2"]
    logs = {result.log for result in quick.run.results if result.key.startswith("TIMED")}
    assert len(logs) == 3
    assert all(log and (quick.folder / log).is_file() for log in logs)
    assert not [note for note in quick.run.notes if "fresh process" in note], "each is the first of its lane"


def test_one_gpu_has_one_child_for_all_in_the_order_of_the_plan(profile: Path, tmp_path: Path) -> None:
    one = Ran(profile, tmp_path, "1")
    (child,) = (event for event in one.events if isinstance(event, ChildStarted))
    assert (child.phase, child.gpu, child.bound) == (0, None, "")
    begun = [event.key for event in one.events if isinstance(event, Started)]
    assert begun == [result.key for result in one.run.results]
    assert not list((one.folder / "inside").glob("gpu*"))


@pytest.mark.parametrize("gpus", [2])
def test_a_lane_is_bound_to_processors_of_its_own_and_the_record_says_so(
    profile: Path, tmp_path: Path, gpus: int
) -> None:
    if len(os.sched_getaffinity(0)) < gpus:
        pytest.skip("needs as many processors as GPUs")
    two = Ran(profile, tmp_path, str(gpus))
    took = [str(result.evidence[0].value) for result in two.run.results if result.key.startswith("BOUND")]
    assert len(set(took)) == 2
    said = [event.bound for event in two.events if isinstance(event, ChildStarted) and event.gpu is not None]
    assert all(text.startswith("processors ") for text in said)
    assert len(set(said)) == 2


def test_a_child_that_dies_hangs_or_lies_costs_its_own_requirement_alone(profile: Path, tmp_path: Path) -> None:
    ran = Ran(profile, tmp_path, "5 dies-gpu0 hangs-gpu1 lies-gpu2")
    assert ran.outcomes() == {f"FAULT[gpu{gpu}]": Outcome.INCONCLUSIVE for gpu in range(3)}
    reasons = {result.key: result.reason for result in ran.run.results}
    assert "its process was killed by SIGKILL" in reasons["FAULT[gpu0]"]
    assert "timed out after 3 s" in reasons["FAULT[gpu1]"]
    assert "'FAULT[gpu4]' is not being measured" in reasons["FAULT[gpu2]"]
    assert [type(event) for event in ran.of("FAULT[gpu4]")] == [Started, Finished], "ended once, by its own child"
    refused = [event for event in ran.events if isinstance(event, journal.Refused)]
    assert len(refused) == 1, "which certifies nothing"
    assert ran.leaves_nothing()


def test_a_disturbed_benchmark_is_repeated_in_its_lane_when_all_phases_are_over(profile: Path, tmp_path: Path) -> None:
    ran = Ran(profile, tmp_path, "2 disturbs-gpu1")
    assert ran.outcomes() == {}
    times = [event for event in ran.of("TIMED[gpu1]") if isinstance(event, Finished)]
    assert [event.outcome for event in times] == [Outcome.INCONCLUSIVE, Outcome.PASSED]
    keys = [event.key for event in ran.events if isinstance(event, Finished)]
    assert keys[-2:] == ["DISK", "TIMED[gpu1]"]


def measuring(profile: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> tuple["subprocess.Popen[str]", Path]:
    """A run that is measuring on each of three GPUs."""
    monkeypatch.setenv("DGXCERT_TEST_SLOW_S", "60")
    process = driver.start("side_by_side", "validate", "--profile", profile, "--results", results, asks="3")
    for gpu in range(3):
        folder = driver.wait_until_measuring(results, f"SLOW[a-gpu{gpu}]")
    monkeypatch.setenv("DGXCERT_TEST_SLOW_S", "0.1")
    return process, folder


def pids_of(folder: Path) -> list[int]:
    return [event.pid for event in journal.read(folder) if isinstance(event, ChildStarted)]


def test_ctrl_c_ends_all_lanes_and_the_run_goes_on_with_what_they_measured(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = measuring(profile, tmp_path, monkeypatch)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=driver.ENDS_S)
    assert driver.all_end(pids_of(folder))
    keys = {f"SLOW[a-gpu{gpu}]" for gpu in range(3)}
    (interrupted,) = (event for event in journal.read(folder) if isinstance(event, journal.Interrupted))
    assert set(interrupted.keys) == keys, printed
    resumed = driver.run("side_by_side", "validate", "--resume", folder, asks="3")
    assert resumed.returncode == 0, resumed.stdout
    assert {result.outcome for result in runs.load(folder).results} == {Outcome.PASSED}
    assert not any(result.earlier_attempts for result in runs.load(folder).results)


def test_a_killed_run_leaves_no_process_and_loses_what_each_lane_measured_once(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = measuring(profile, tmp_path, monkeypatch)
    process.kill()
    process.communicate(timeout=driver.ENDS_S)
    assert driver.all_end(pids_of(folder))
    resumed = driver.run("side_by_side", "validate", "--resume", folder, asks="3")
    assert resumed.returncode == 0, resumed.stdout
    again = {
        result.key: len(result.earlier_attempts) for result in runs.load(folder).results if result.earlier_attempts
    }
    assert again == {f"SLOW[a-gpu{gpu}]": 1 for gpu in range(3)}


def test_eight_gpus_are_measured_at_once(profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for all others in each of its cases: one by one, or by fewer, none of them would end."""
    monkeypatch.setenv("DGXCERT_TEST_MEETS", str(tmp_path))
    (tmp_path / "eight").mkdir()
    eight = Ran(profile, tmp_path / "eight", "8")
    assert eight.outcomes() == {}
    assert in_flight_at_most(eight.events) == 8
