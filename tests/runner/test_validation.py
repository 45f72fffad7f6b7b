"""Validation: a run that ended early keeps its results, names what is missing, and can be resumed."""

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from suites import driver, example

from dgxcert.judgement.verdict import Verdict
from dgxcert.machine import software
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import installation, suite
from dgxcert.plan.options import Options
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run
from dgxcert.record.state import RunState
from dgxcert.runner import session, validation
from dgxcert.runner.interrupts import Stop


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.profile_file(tmp_path_factory.mktemp("profile"))


@dataclass
class Cut:
    """A run whose supervisor was killed during LONG, then resumed."""

    folder: Path
    second: "subprocess.CompletedProcess[str]"
    going_on: bool
    child_ended: bool
    record: bytes
    log: bytes
    had_verdict: bool
    resumed: "subprocess.CompletedProcess[str]"
    run: Run


@pytest.fixture(scope="module")
def cut(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Cut:
    results = tmp_path_factory.mktemp("results")
    heeding = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    supervisor = driver.start("calm", "validate", "--profile", profile, "--results", results, asks="sleep")
    signal.signal(signal.SIGHUP, heeding)
    folder = driver.wait_until_measuring(results, "LONG")
    supervisor.send_signal(signal.SIGHUP)
    second = driver.run("calm", "validate", "--resume", folder)
    going_on = supervisor.poll() is None
    supervisor.kill()
    supervisor.communicate()
    (child,) = [event.pid for event in journal.read(folder) if isinstance(event, journal.ChildStarted)]
    child_ended = driver.all_end([child])
    record, log = (folder / journal.NAME).read_bytes(), (folder / "logs" / "native-1.log").read_bytes()
    had_verdict = (folder / runs.NAME).exists()
    resumed = driver.run("calm", "validate", "--resume", folder)
    return Cut(folder, second, going_on, child_ended, record, log, had_verdict, resumed, runs.load(folder))


def result(run: Run, key: str) -> Result:
    return next(result for result in run.results if result.key == key)


def outcomes(run: Run) -> dict[str, str]:
    return {result.key: result.outcome.value for result in run.results}


def test_a_second_dgxcert_refuses_to_resume_a_run_in_progress(cut: Cut) -> None:
    assert cut.second.returncode == 3
    assert "is still being worked on by another dgxcert" in cut.second.stdout
    events = [journal.parse(line) for line in cut.record.decode().splitlines()]
    assert not any(isinstance(event, journal.Resumed) for event in events)


def test_a_run_under_nohup_continues_when_the_terminal_closes(cut: Cut) -> None:
    assert cut.going_on
    assert b"interrupted" not in cut.record


def test_no_process_continues_measuring_after_its_supervisor_is_killed(cut: Cut) -> None:
    assert cut.child_ended
    assert not cut.had_verdict


def test_the_requirement_that_a_kill_interrupted_is_inconclusive_and_measured_again(cut: Cut) -> None:
    (lost,) = result(cut.run, "LONG").earlier_attempts
    assert (lost.outcome, lost.log) == (Outcome.INCONCLUSIVE, "logs/native-1.log")
    assert "the run was killed while LONG was being measured" in lost.reason
    assert (result(cut.run, "LONG").outcome, result(cut.run, "LONG").attempts) == (Outcome.PASSED, 2)
    assert (cut.run.judgement.verdict, cut.resumed.returncode) == (Verdict.REHEARSED, 0)


def test_the_rest_of_a_killed_run_is_measured(cut: Cut) -> None:
    assert outcomes(cut.run) == {"FIRST": "passed", "LONG": "passed", "DISK": "passed", "LAST": "passed"}


def test_results_of_a_killed_run_are_kept_and_not_measured_again(cut: Cut) -> None:
    record = (cut.folder / journal.NAME).read_bytes()
    assert record.startswith(cut.record)
    assert b'"key":"FIRST"' not in record[len(cut.record) :]
    assert result(cut.run, "FIRST").evidence[0].value > 0


def test_a_resumed_run_keeps_earlier_logs_and_benchmarks(cut: Cut) -> None:
    assert (cut.folder / "logs" / "native-1.log").read_bytes() == cut.log
    assert (result(cut.run, "FIRST").log, result(cut.run, "LAST").log) == ("logs/native-1.log", "logs/native-2.log")
    benchmarks = (cut.folder / "benchmark.json").read_text(encoding="utf-8")
    assert [name in benchmarks for name in ('"name": "test_first"', '"name": "test_last"')] == [True, True]


def test_a_resumed_run_reports_that_it_was_resumed(cut: Cut) -> None:
    assert any(note.startswith("resumed at ") for note in cut.run.notes)


@dataclass
class Stopped:
    """A run that was stopped by a signal during LONG, then resumed."""

    exit_code: int
    soon: bool
    run: Run
    resumed: Run


@pytest.fixture(
    scope="module",
    params=[
        ([signal.SIGINT], "", 25),
        ([signal.SIGTERM], "fail", 25),
        ([signal.SIGHUP], "defy", 35),
        ([signal.SIGINT, signal.SIGINT], "defy", 25),
    ],
    ids=["Ctrl-C", "SIGTERM after a failure", "lost terminal while hung", "Ctrl-C twice while hung"],
)
def stopped(request: pytest.FixtureRequest, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """FIRST fails before the stop where `asks` contains it, and would pass afterwards; LONG may ignore SIGINT."""
    signals, asks, soon_s = request.param
    results = tmp_path_factory.mktemp("results")
    process = driver.start("calm", "validate", "--profile", profile, "--results", results, asks=f"sleep {asks}")
    folder = driver.wait_until_measuring(results, "LONG")
    if "defy" in asks:
        driver.wait_for_message(folder, "defies")
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    process.communicate(timeout=120)
    soon = time.monotonic() - began < soon_s
    (child,) = [event.pid for event in journal.read(folder) if isinstance(event, journal.ChildStarted)]
    assert driver.all_end([child])
    run = runs.load(folder)
    driver.run("calm", "validate", "--resume", folder)
    return Stopped(process.returncode, soon, run, runs.load(folder))


def test_a_stopped_run_ends_with_a_verdict_on_its_results(stopped: Stopped) -> None:
    failed = result(stopped.run, "FIRST").outcome is Outcome.FAILED
    assert stopped.run.judgement.verdict is (Verdict.REJECTED if failed else Verdict.INCONCLUSIVE)
    assert stopped.exit_code == stopped.run.judgement.exit_code == (1 if failed else 2)


def test_requirements_after_the_stop_are_not_run(stopped: Stopped) -> None:
    left = {key: outcome for key, outcome in outcomes(stopped.run).items() if key != "FIRST"}
    assert left == dict.fromkeys(["LONG", "DISK", "LAST"], "not_run")
    assert "interrupted by the user during LONG" in stopped.run.notes


def test_a_stopped_run_can_be_resumed_and_certified(stopped: Stopped) -> None:
    first = outcomes(stopped.run)["FIRST"]
    assert outcomes(stopped.resumed) == {"FIRST": first, **dict.fromkeys(["LONG", "DISK", "LAST"], "passed")}
    assert stopped.resumed.judgement.verdict is (Verdict.REHEARSED if first == "passed" else Verdict.REJECTED)


def test_a_stopped_run_ends_soon_and_at_once_after_a_second_signal(stopped: Stopped) -> None:
    assert stopped.soon


def test_a_resumed_run_keeps_an_earlier_failure(stopped: Stopped) -> None:
    assert result(stopped.resumed, "FIRST") == result(stopped.run, "FIRST")


@pytest.fixture
def at_rest(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, and this process set up to resume it."""
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "calm")
    return cut.folder


def resume(folder: Path) -> Run:
    return validation.resume(folder, Console(file=StringIO())).run


def test_a_wheel_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "is_installed", lambda: True)
    monkeypatch.setattr(installation, "lacks", lambda extra: ["docker", "jinja2"] if extra == "host" else [])
    with pytest.raises(CannotStart, match=r"extra `host`, found no docker, jinja2") as raised:
        validation.decide(Options(profile="cpu", runtime=Runtime.DOCKER))
    assert "pip install 'DGXCERT.whl[host]'" in " ".join(raised.value.remedy)


def test_a_finished_run_is_not_resumed(at_rest: Path) -> None:
    refuses(at_rest, "Nothing waits in .*: all 4 requirements ended")


@pytest.mark.parametrize("name", ["certificate.json", "signed-report.json"])
def test_a_signed_run_is_not_resumed(at_rest: Path, cut: Cut, tmp_path: Path, name: str) -> None:
    (tmp_path / journal.NAME).write_bytes(cut.record)
    (tmp_path / name).write_text("{}", encoding="utf-8")
    refuses(tmp_path, f"is signed \\({name}\\)")


def test_a_run_whose_reports_alone_are_missing_is_closed_and_not_dated_again(at_rest: Path, tmp_path: Path) -> None:
    record = (at_rest / journal.NAME).read_bytes()
    (tmp_path / "logs").mkdir()
    (tmp_path / journal.NAME).write_bytes(record)
    run = resume(tmp_path)
    assert (tmp_path / journal.NAME).read_bytes() == record
    assert run.model_copy(update={"name": at_rest.name}) == runs.load(at_rest)


def test_a_run_is_not_resumed_with_another_suite(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(driver.SUITES / "calm", tmp_path / "other")
    with (tmp_path / "other" / "checks" / "test_calm.py").open("a") as check:
        check.write("\n")
    monkeypatch.setattr(suite, "root", lambda: tmp_path / "other")
    refuses(at_rest, "started by another suite")


def test_a_run_is_not_resumed_on_another_machine(at_rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = session.read_machine().model_copy(update={"serial": "1660224000077"})
    monkeypatch.setattr(session, "read_machine", lambda: other)
    refuses(at_rest, "started on another machine, or its state changed: serial was .* and is 1660224000077")


@pytest.mark.parametrize("field", ["driver", "cuda_driver", "kernel", "firmware"])
def test_a_run_is_not_resumed_after_its_system_software_changed(
    at_rest: Path, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    other = session.read_machine().model_copy(update={field: "590.9"})
    monkeypatch.setattr(session, "read_machine", lambda: other)
    refuses(at_rest, "its state changed: .* and is 590.9")


def test_a_run_is_not_resumed_on_other_software(at_rest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = software.read()
    other = now.model_copy(update={"packages": now.packages | {"torch": "1.0"}})
    monkeypatch.setattr(software, "read", lambda: other)
    refuses(at_rest, "started on other software: torch changed since")


def test_a_reboot_is_reported(cut: Cut, at_rest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The record of an interrupted run, on a machine that was rebooted since."""
    (tmp_path / "logs").mkdir()
    (tmp_path / journal.NAME).write_bytes(cut.record)
    restarted = session.read_machine().model_copy(update={"boot_id": "another"})
    monkeypatch.setattr(session, "read_machine", lambda: restarted)
    run = resume(tmp_path)
    assert "the machine was restarted while LONG was being measured" in result(run, "LONG").reason
    assert any("after the machine was restarted" in note for note in run.notes)


def refuses(folder: Path, why: str) -> None:
    """Resuming is refused and leaves the record unchanged."""
    before = (folder / journal.NAME).read_bytes()
    with pytest.raises(CannotStart, match=why):
        resume(folder)
    assert (folder / journal.NAME).read_bytes() == before


class Breaks:
    """A pipeline with a bug."""

    def __init__(self, *given: object) -> None:
        pass

    def run(self) -> None:
        raise RuntimeError("an unexpected error")


def test_a_bug_loses_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "Pipeline", Breaks)
    (tmp_path / "logs").mkdir()
    opened = example.opened(example.planned("A"), example.planned("B"))
    writer = journal.Writer(tmp_path)
    writer.append(opened)
    writer.append(example.finished("A"))
    with pytest.raises(RuntimeError, match="an unexpected error"):
        validation._work(opened, tmp_path, writer, RunState(journal.read(tmp_path)), Console(file=StringIO()), Stop())
    run = runs.load(tmp_path)
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert [result.outcome.value for result in run.results] == ["passed", "not_run"]


def test_a_profile_that_is_not_shipped_is_named_on_screen_and_in_the_summary(tmp_path: Path) -> None:
    profile = example.profile_file(tmp_path)
    ended = driver.run("poisoned", "validate", "--profile", profile, "--results", tmp_path / "results")
    said = "profile any-suite is not one that ships with dgxcert, so it certifies nothing"
    assert said in " ".join(ended.stdout.split())
    assert said in (driver.only_run(tmp_path / "results") / "summary.md").read_text(encoding="utf-8")


def test_the_folder_of_a_run_is_for_its_owner_and_group(tmp_path: Path) -> None:
    made = validation._new_folder(tmp_path / "results", example.MACHINE)
    assert [folder.stat().st_mode & 0o7027 for folder in (made, made / "logs")] == [0o001, 0]
    assert validation._new_folder(tmp_path / "results", example.MACHINE) != made
