"""A burn-in works for its minutes, reports progress, resumes where it was, and refuses other settings."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from suites import driver

from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import NOT_SUPPORTED, Answers
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.gpu import health, nvml
from dgxcert.probes.host import boot as boots
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import run as runs
from dgxcert.workloads.burn_in import log, loop
from dgxcert.workloads.burn_in.log import Cycle, Summary

CPU = Device("cpu", 0, "CPU", margin_gib=1.0)
FILE = "burn-in-cpu0.jsonl"
KEPT = f"inside/kept/{FILE}"
VALIDATE = [sys.executable, "-m", "dgxcert", "validate"]
BURN = [*VALIDATE, "--profile", "cpu", "--runtime", "native", "--tier", "burn-in", "--only", "BURN-IN"]
GOOD = Cycle(at=0.0, seconds=30.0, matmul=91.6, copy=230.0, training=50.0, wrong=0, product="aa", weights="bb")
SHARED = "GPU 0 was shared: 2 compute processes ([1, 2])"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def short() -> Profile:
    """The profile of a CPU, with small work in short cycles."""
    shipped = profiles.load("cpu")
    sizes = {
        "matmul": shipped.workloads.matmul.model_copy(update={"size": 256, "products": 1}),
        "bandwidth": shipped.workloads.bandwidth.model_copy(update={"size_mib": 4}),
        "burn_in": shipped.workloads.burn_in.model_copy(update={"cycle_s": 0.1, "steps": 2}),
    }
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update=sizes)})


def summary(path: Path) -> Summary:
    return log.summarise(log.read_log(path))


class Simulated:
    """Cycles that a test gives, instead of work; after the last of them Ctrl-C is pressed."""

    def __init__(self, *cycles: Cycle) -> None:
        self._waiting = list(cycles)

    def __call__(self, *_: object) -> "Simulated":
        return self

    def cycle(self) -> Cycle:
        if not self._waiting:
            raise KeyboardInterrupt
        return self._waiting.pop(0)


def test_it_works_and_reports_progress(short: Profile, tmp_path: Path) -> None:
    lines: list[str] = []
    burnt = loop.run(CPU, short, 0.03, tmp_path, lines.append)
    assert burnt.minutes >= 0.03
    assert (burnt.wrong_values, burnt.changed("product"), burnt.changed("weights")) == (0, 0, 0)
    assert (burnt.interruptions, burnt.reboots, burnt.new_memory_errors, burnt.highest_clock) == (0, 0, 0, None)
    assert burnt.steadiness("matmul") > 0
    assert lines[-1].startswith(f"{burnt.minutes:.1f} of 0.03 min; ")
    assert loop.finished(CPU, tmp_path, 0.03) == burnt
    again = loop.run(CPU, short, 0.03, tmp_path, lines.append)
    assert len(again.cycles) == len(burnt.cycles), "it has worked for its minutes already"
    assert again.interruptions == 1


def test_results_of_another_torch_or_size_are_not_compared(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Worker", Simulated(GOOD))
    loop.run(CPU, short, 0.5, tmp_path, lambda _: None)
    matmul = short.workloads.matmul.model_copy(update={"size": 512})
    larger = short.model_copy(update={"workloads": short.workloads.model_copy(update={"matmul": matmul})})
    before = (tmp_path / FILE).read_text(encoding="utf-8")
    with pytest.raises(Inconclusive, match="was started with matmul 256, now 512: its results cannot be compared"):
        loop.run(CPU, larger, 0.5, tmp_path, lambda _: None)
    with pytest.raises(Inconclusive, match="started with product 'CPU', now 'another'"):
        loop.run(replace(CPU, product="another"), short, 0.5, tmp_path, lambda _: None)
    assert (tmp_path / FILE).read_text(encoding="utf-8") == before


def test_after_ctrl_c_it_resumes_and_a_reboot_does_not_count(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot"
    monkeypatch.setattr(boots, "ID", boot)
    boot.write_text("a", encoding="ascii")
    monkeypatch.setattr(loop, "Worker", Simulated(GOOD))
    with pytest.raises(KeyboardInterrupt):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    boot.write_text("b", encoding="ascii")
    monkeypatch.setattr(loop, "Worker", Simulated(GOOD, GOOD))
    burnt = loop.run(CPU, short, 1.5, tmp_path, lambda _: None)
    assert (burnt.pauses, burnt.interruptions, burnt.reboots, len(burnt.cycles)) == (1, 0, 0, 3)


def test_earlier_memory_errors_are_not_new_ones(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Device("cuda", 0, "NVIDIA H200")
    had = health.EccErrors(counted=True, uncorrected=2, corrected=0, uncorrected_ever=2, source="NVML")
    monkeypatch.setattr(health, "ecc_errors", lambda _: had)
    monkeypatch.setattr(nvml, "ask", lambda index, name: Answers(index, {name: 1980}))
    monkeypatch.setattr(loop, "Worker", Simulated(replace(GOOD, errors=3)))
    burnt = loop.run(gpu, short, 0.5, tmp_path, lambda _: None)
    assert (burnt.error_counts, burnt.new_memory_errors, burnt.highest_mhz) == ((2, 3), 1, 1980.0)
    refused = {"highest_clock": {"code": NOT_SUPPORTED, "says": "Not Supported"}}
    monkeypatch.setattr(nvml, "ask", lambda index, _: Answers(index, refused=refused))
    other = replace(gpu, index=1)
    monkeypatch.setattr(loop, "Worker", Simulated(GOOD))
    assert loop.run(other, short, 0.5, tmp_path, lambda _: None).highest_clock is None


def test_cycles_with_other_processes_do_not_count_and_many_of_them_end_it(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = replace(GOOD, shared=SHARED)
    monkeypatch.setattr(loop, "Worker", Simulated(*(shared,) * 9, GOOD, *(shared,) * 9, GOOD))
    burnt = loop.run(CPU, short, 1.0, tmp_path, lambda _: None)
    assert (burnt.shared_cycles, burnt.minutes) == (18, 1.0)
    monkeypatch.setattr(loop, "Worker", Simulated(*(shared,) * 10))
    with pytest.raises(Inconclusive, match="GPU 0 was shared: 2 compute processes") as raised:
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    assert raised.value.remedy == ("End other work on this GPU; then burn in again.",)
    assert summary(tmp_path / FILE).shared_cycles == 28, "cycles that do not count are logged"


class Silent(Simulated):
    """Gives its cycles; then the driver stops answering."""

    def cycle(self) -> Cycle:
        if not self._waiting:
            raise Inconclusive("the driver did not answer within 30 s")
        return super().cycle()


def test_a_wrong_value_is_a_finding_also_where_the_driver_stops_answering(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Worker", Silent(GOOD))
    with pytest.raises(Inconclusive, match="did not answer"):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    monkeypatch.setattr(loop, "Worker", Silent(replace(GOOD, wrong=5)))
    with pytest.raises(Wrong, match="5 wrong values"):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    with pytest.raises(Wrong, match="5 wrong values"):
        loop.finished(CPU, tmp_path, 100.0)


def test_a_driver_that_stays_silent_ends_it(short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = replace(GOOD, unseen="the driver does not answer")
    monkeypatch.setattr(loop, "Worker", Simulated(*(silent,) * 10))
    with pytest.raises(Inconclusive, match="the driver does not answer") as raised:
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    assert "nvidia-smi" in raised.value.remedy[0]


def test_results_are_kept_where_the_driver_stops_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        kind, index = "cuda", 0

        def other_processes(self, ours: int) -> str:
            raise Inconclusive("the driver does not list processes")

    worker: Any = object.__new__(loop.Worker)
    worker._device, worker._samples, worker._ours, worker._work = Blind(), None, 1, lambda: replace(GOOD, wrong=2)
    monkeypatch.setattr(loop, "sampling", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(loop, "_errors", lambda _: 4)
    assert worker.cycle() == replace(GOOD, wrong=2, errors=4, unseen="the driver does not list processes")

    @contextlib.contextmanager
    def slow(*_: object, **__: object) -> Iterator[None]:
        yield
        raise Inconclusive("sampled too slowly")

    monkeypatch.setattr(loop, "sampling", slow)
    assert worker.cycle() == replace(GOOD, wrong=2, errors=None, unseen="sampled too slowly")
    worker._work = lambda: pytest.fail("no work")
    monkeypatch.setattr(loop, "sampling", silent)
    with pytest.raises(Inconclusive, match="cannot start"):
        worker.cycle()


@contextlib.contextmanager
def silent(*_: object, **__: object) -> Iterator[None]:
    """Sampling that does not start."""
    raise Inconclusive("cannot start")
    yield


def ended_after_a_cycle(arguments: list[str], results: Path, number: signal.Signals) -> Path:
    """Run a burn-in until it has logged a cycle, or one more than before, then end it; the run's folder."""
    before = sum(len(summary(kept).cycles) for kept in results.glob(f"*/{KEPT}"))
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = results.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env=env)
    folder = driver.wait_until_measuring(results, "BURN-IN")
    kept, deadline = folder / KEPT, time.monotonic() + 60
    while len(summary(kept).cycles) <= before:
        assert time.monotonic() < deadline
        assert process.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    return folder


def test_a_burn_in_that_was_ended_resumes_where_it_was(tmp_path: Path) -> None:
    results = tmp_path / "results"
    begin = [*BURN, "--minutes", "0.15", "--results", str(results)]
    folder = ended_after_a_cycle(begin, results, signal.SIGINT)
    resume = [*VALIDATE, "--resume", str(folder)]
    assert ended_after_a_cycle(resume, results, signal.SIGKILL) == folder
    before = summary(folder / KEPT)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(resume, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (result for result in runs.load(folder).results if result.key == "BURN-IN")
    after = summary(folder / KEPT)
    assert result.outcome.value == "passed"
    assert (before.pauses, before.interruptions) == (1, 0)
    assert (after.pauses, after.interruptions, after.reboots) == (1, 1, 0)
    assert 2 <= len(before.cycles) < len(after.cycles)
    assert after.cycles[: len(before.cycles)] == before.cycles
    assert after.minutes - after.cycles[-1].seconds / 60 < 0.15, "it worked no longer than its minutes"
    assert f"{after.minutes:.1f} of 0.15 min" in done.stdout
    events = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["text"] for event in events if event["event"] == "said"][-1].startswith(f"{after.minutes:.1f} of")


def test_minutes_are_refused_without_the_burn_in_tier(tmp_path: Path) -> None:
    arguments = [*VALIDATE, "--profile", "cpu", "--minutes", "5", "--results", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Add --tier burn-in" in done.stderr


def test_an_error_about_too_few_minutes_names_the_option(tmp_path: Path) -> None:
    done = subprocess.run([*BURN, "--minutes", "0.01", "--results", str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"--minutes: wanted 0.1 to 10080, found 0.01. Give a number of minutes." in done.stderr
