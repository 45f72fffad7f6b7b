"""The supervisor: a fault of a process under test costs the running requirement alone, which never passes."""

import io
import json
import subprocess
import time
from pathlib import Path

import pytest
from rich.console import Console
from suites import driver, example

from dgxcert import command
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.plan import suite
from dgxcert.plan.estimate import Estimate
from dgxcert.plan.selection import Planned
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run
from dgxcert.record.state import RunState
from dgxcert.runner import supervisor
from dgxcert.runner.launcher import Here
from dgxcert.runner.progress import Progress
from dgxcert.runner.supervisor import Supervisor

NORMAL = ["BEFORE-ALL", "AFTER-HANG", "AFTER-CRASH", "AFTER-ALL"]

FAULTS = {
    "HANGS": "timed out after 2 s, its time budget",
    "DEFIES": "timed out after 2 s, its time budget",
    "CRASHES": "its process was killed by SIGSEGV",
    "LEAVES": "its process ended with exit code 0",
    "KILLED": "its process was killed by SIGKILL",
    "RAISES": "could not be checked: OSError: no such instrument",
}


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def pids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which DEFIES writes the pids of itself, its child, and its child in another process group."""
    return tmp_path_factory.mktemp("pids") / "pids"


@pytest.fixture(scope="module")
def ended(
    profile: Path, pids: Path, tmp_path_factory: pytest.TempPathFactory
) -> "tuple[subprocess.CompletedProcess[str], Path]":
    results = tmp_path_factory.mktemp("results")
    process = driver.run("faults", "validate", "--profile", profile, "--results", results, pids=str(pids))
    return process, driver.only_run(results)


@pytest.fixture(scope="module")
def folder(ended: "tuple[subprocess.CompletedProcess[str], Path]") -> Path:
    return ended[1]


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return runs.load(folder)


def result(run: Run, key: str) -> Result:
    return next(result for result in run.results if result.key == key)


@pytest.mark.parametrize("key", FAULTS)
def test_a_fault_makes_its_own_requirement_inconclusive_with_a_reason(run: Run, key: str) -> None:
    assert result(run, key).outcome is Outcome.INCONCLUSIVE
    assert FAULTS[key] in result(run, key).reason
    assert result(run, key).remedy


@pytest.mark.parametrize("key", NORMAL)
def test_everything_else_is_measured(run: Run, key: str) -> None:
    assert result(run, key).outcome is Outcome.PASSED, result(run, key).reason


def test_a_run_with_faults_is_inconclusive(ended: "tuple[subprocess.CompletedProcess[str], Path]", run: Run) -> None:
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert ended[0].returncode == 2, ended[0].stdout
    assert run.judgement.counts == {
        "passed": len(NORMAL),
        "failed": 0,
        "inconclusive": len(FAULTS),
        "not_applicable": 0,
        "not_run": 0,
    }


def test_a_hang_is_killed_soon_after_its_budget(run: Run) -> None:
    """They would sleep for ten minutes."""
    assert 1.5 <= (result(run, "HANGS").duration_s or 0) < 60
    assert 1.5 <= (result(run, "DEFIES").duration_s or 0) < 60


def test_children_of_a_hung_requirement_are_killed_with_it(run: Run, pids: Path) -> None:
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 3
    assert driver.all_end(started)


def test_requirements_are_measured_in_order_and_each_once(folder: Path) -> None:
    events = journal.read(folder)
    begun = [event.key for event in events if isinstance(event, journal.Started)]
    finished = [event.key for event in events if isinstance(event, journal.Finished)]
    planned = next(event for event in events if isinstance(event, journal.Opened)).plan
    assert begun == finished == [entry.key for entry in planned]


def test_only_a_lost_process_is_replaced(run: Run) -> None:
    def process(key: str) -> object:
        return result(run, key).log

    assert process("BEFORE-ALL") == process("HANGS")
    assert process("AFTER-HANG") == process("DEFIES") != process("CRASHES")
    assert process("RAISES") == process("AFTER-ALL")
    assert len({entry.log for entry in run.results}) == 6


def test_every_process_has_a_log_and_every_result_names_its_own(folder: Path, run: Run) -> None:
    for entry in run.results:
        assert entry.log is not None
        assert entry.title.lower().replace(" ", "_") in (folder / entry.log).read_text(encoding="utf-8")


def test_the_notes_report_that_fresh_processes_continued_the_run(run: Run) -> None:
    assert len([note for note in run.notes if "fresh process" in note]) == 5


def test_no_fault_loses_a_benchmark_that_was_timed(folder: Path) -> None:
    benchmarks = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))["benchmarks"]
    names = [benchmark["name"] for benchmark in benchmarks]
    assert names == ["test_timed_before_every_fault", "test_timed_after_every_fault"]


def test_a_check_that_cannot_be_imported_stops_before_anything_runs(profile: Path, tmp_path: Path) -> None:
    ended = driver.run("broken", "validate", "--profile", profile, "--results", tmp_path / "results")
    assert ended.returncode == 3
    assert "No module named 'no_such_module_of_this_suite'" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1, ended.stdout
    assert not (tmp_path / "results").exists()


def test_a_process_that_dies_before_its_first_requirement_is_tried_twice(profile: Path, tmp_path: Path) -> None:
    ended = driver.run("unborn", "validate", "--profile", profile, "--results", tmp_path)
    run = runs.load(driver.only_run(tmp_path))
    assert (ended.returncode, run.judgement.verdict) == (2, Verdict.INCONCLUSIVE)
    assert result(run, "UNBORN").outcome is Outcome.NOT_RUN
    assert any("1 requirements were never started" in note and "exit code 77" in note for note in run.notes)
    assert len(list((driver.only_run(tmp_path) / "logs").iterdir())) == 2


def test_a_full_disk_ends_the_run_and_loses_no_recorded_result(profile: Path, tmp_path: Path) -> None:
    full = driver.run("calm", "validate", "--profile", profile, "--results", tmp_path, asks="full")
    folder = driver.only_run(tmp_path)
    assert full.returncode == 3
    assert "DISK" in full.stdout
    assert f"continue: dgxcert validate --resume {folder}" in full.stdout
    assert "(exit 3)" in full.stdout
    before = (folder / journal.NAME).read_bytes()
    resumed = driver.run("calm", "validate", "--resume", folder)
    assert resumed.returncode == 0
    assert (folder / journal.NAME).read_bytes().startswith(before)
    run = runs.load(folder)
    assert {result.outcome for result in run.results} == {Outcome.PASSED}
    assert [earlier.outcome for earlier in result(run, "DISK").earlier_attempts] == [Outcome.INCONCLUSIVE]


def test_no_conftest_beside_or_above_the_suite_is_loaded(tmp_path: Path) -> None:
    for name in suite.FOLDERS:
        (tmp_path / "suite" / name).mkdir(parents=True)
    (tmp_path / "suite" / "checks" / "test_one.py").write_text(
        "from dgxcert import requirement\n\n"
        "@requirement('ONE', title='One', why='a stray hook could turn a failure into a pass', remedy=('look',))\n"
        "def test_one(): pass\n"
    )
    for place in (tmp_path, tmp_path / "suite", tmp_path / "suite" / "checks"):
        (place / "conftest.py").write_text("raise SystemError('was loaded')")
    assert [entry.key for entry in suite.collect(tmp_path / "suite", gpus=1)] == ["ONE"]


def quiet(plan: list[Planned]) -> Progress:
    """A progress that nobody sees."""
    return Progress(Console(file=io.StringIO()), plan, Estimate(plan, {}))


def test_a_process_that_survives_its_kill_is_left_running_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A test cannot provoke a driver call that no signal ends, so the result of the kill is faked."""
    kill = command.end_group
    monkeypatch.setattr(command, "end_group", lambda process, grace_s=1.0: kill(process, grace_s) and False)
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "faults")
    plan = [example.planned("HANGS", takes_s=0.1, budget_s=0.5), example.planned("AFTER-HANG")]
    writer = journal.Writer(tmp_path)
    opened = example.opened(*plan)
    writer.append(opened)
    (tmp_path / "logs").mkdir()
    working = Supervisor(opened, tmp_path, writer, quiet(plan), RunState([opened]))
    working.run_stage("native", Here(), plan)
    writer.close()
    run = runs.assemble(journal.read(tmp_path), "run")
    assert "it survives SIGKILL, so it hangs in the driver: restart the machine" in result(run, "HANGS").reason
    assert result(run, "AFTER-HANG").outcome is Outcome.PASSED


def test_a_child_gains_no_time_by_what_slows_its_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with a million files takes seconds to look through; that is no time in which nobody could look."""
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "faults")
    monkeypatch.setattr(supervisor, "STOPPED_S", 0.2)
    looks = iter(range(40))

    def slow(_self: object) -> str:
        time.sleep(0.3)
        return "" if next(looks, None) is not None else "it had all the time that it wanted"

    monkeypatch.setattr(supervisor.Excess, "__call__", slow)
    plan = [example.planned("HANGS", takes_s=0.1, budget_s=1.0)]
    writer = journal.Writer(tmp_path)
    opened = example.opened(*plan)
    writer.append(opened)
    working = Supervisor(opened, tmp_path, writer, quiet(plan), RunState([opened]))
    working.run_stage("native", Here(), plan)
    writer.close()
    run = runs.assemble(journal.read(tmp_path), "run")
    assert "it timed out after 1 s" in result(run, "HANGS").reason
