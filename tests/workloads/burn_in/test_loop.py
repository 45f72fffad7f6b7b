"""A burn-in really works: it tells how far it is, goes on where it was, and refuses what cannot be compared."""

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
from dgxcert.workloads.burn_in.log import Cycle

CPU = Device("cpu", 0, "CPU", margin_gib=1.0)
FILE = "burn-in-cpu0.jsonl"
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


class Played:
    """Cycles as a test says, instead of work; after the last of them Ctrl-C is pressed."""

    def __init__(self, *cycles: Cycle) -> None:
        self._waiting = list(cycles)

    def __call__(self, *_: object) -> "Played":
        return self

    def cycle(self) -> Cycle:
        if not self._waiting:
            raise KeyboardInterrupt
        return self._waiting.pop(0)


def test_it_really_works_and_tells_how_far_it_is(short: Profile, tmp_path: Path) -> None:
    told: list[str] = []
    found = loop.run(CPU, short, 0.03, tmp_path, told.append)
    assert found.minutes >= 0.03
    assert (found.wrong_values, found.other("product"), found.other("weights")) == (0, 0, 0)
    assert (found.interruptions, found.restarts, found.new_errors, found.highest_clock) == (0, 0, 0, None)
    assert found.steadiness("matmul") > 0
    assert told[-1].startswith(f"{found.minutes:.1f} of 0.03 min; ")
    assert loop.kept(CPU, tmp_path, 0.03) == found
    again = loop.run(CPU, short, 0.03, tmp_path, told.append)
    assert len(again.cycles) == len(found.cycles), "what was asked is done"
    assert again.interruptions == 1


def test_answers_of_another_torch_or_size_are_not_compared(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_Worker", Played(GOOD))
    loop.run(CPU, short, 0.5, tmp_path, lambda _: None)
    matmul = short.workloads.matmul.model_copy(update={"size": 512})
    larger = short.model_copy(update={"workloads": short.workloads.model_copy(update={"matmul": matmul})})
    before = (tmp_path / FILE).read_text(encoding="utf-8")
    with pytest.raises(Inconclusive, match="was begun with matmul 256, now 512: its answers cannot be compared"):
        loop.run(CPU, larger, 0.5, tmp_path, lambda _: None)
    with pytest.raises(Inconclusive, match="begun with product 'CPU', now 'another'"):
        loop.run(replace(CPU, product="another"), short, 0.5, tmp_path, lambda _: None)
    assert (tmp_path / FILE).read_text(encoding="utf-8") == before


def test_after_ctrl_c_it_goes_on_and_a_restart_is_none(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot"
    monkeypatch.setattr(boots, "ID", boot)
    boot.write_text("a", encoding="ascii")
    monkeypatch.setattr(loop, "_Worker", Played(GOOD))
    with pytest.raises(KeyboardInterrupt):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    boot.write_text("b", encoding="ascii")
    monkeypatch.setattr(loop, "_Worker", Played(GOOD, GOOD))
    found = loop.run(CPU, short, 1.5, tmp_path, lambda _: None)
    assert (found.pauses, found.interruptions, found.restarts, len(found.cycles)) == (1, 0, 0, 3)


def test_errors_that_memory_had_before_are_told_from_those_of_the_first_cycle(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Device("cuda", 0, "NVIDIA H200")
    had = health.EccErrors(counted=True, uncorrected=2, corrected=0, uncorrected_ever=2, source="NVML")
    monkeypatch.setattr(health, "ecc_errors", lambda _: had)
    monkeypatch.setattr(nvml, "ask", lambda index, name: Answers(index, {name: 1980}))
    monkeypatch.setattr(loop, "_Worker", Played(replace(GOOD, errors=3)))
    found = loop.run(gpu, short, 0.5, tmp_path, lambda _: None)
    assert (found.counters, found.new_errors, found.highest_mhz) == ((2, 3), 1, 1980.0)
    refused = {"highest_clock": {"code": NOT_SUPPORTED, "says": "Not Supported"}}
    monkeypatch.setattr(nvml, "ask", lambda index, _: Answers(index, refused=refused))
    other = replace(gpu, index=1)
    monkeypatch.setattr(loop, "_Worker", Played(GOOD))
    assert loop.run(other, short, 0.5, tmp_path, lambda _: None).highest_clock is None


def test_a_gpu_that_is_shared_now_and_then_is_judged_by_the_rest_and_one_that_stays_so_is_not(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = replace(GOOD, shared=SHARED)
    monkeypatch.setattr(loop, "_Worker", Played(*(shared,) * 9, GOOD, *(shared,) * 9, GOOD))
    found = loop.run(CPU, short, 1.0, tmp_path, lambda _: None)
    assert (found.shared, found.minutes) == (18, 1.0)
    monkeypatch.setattr(loop, "_Worker", Played(*(shared,) * 10))
    with pytest.raises(Inconclusive, match="GPU 0 was shared: 2 compute processes") as raised:
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    assert raised.value.remedy == ("End other work on this GPU; then burn in again.",)
    assert log.load(tmp_path / FILE).shared == 28, "what was shared is kept, marked"


class Silent(Played):
    """Plays its cycles; then the driver falls silent."""

    def cycle(self) -> Cycle:
        if not self._waiting:
            raise Inconclusive("the driver did not answer within 30 s")
        return super().cycle()


def test_what_was_wrong_before_the_driver_fell_silent_is_a_finding_all_the_same(
    short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_Worker", Silent(GOOD))
    with pytest.raises(Inconclusive, match="did not answer"):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    monkeypatch.setattr(loop, "_Worker", Silent(replace(GOOD, wrong=5)))
    with pytest.raises(Wrong, match="5 wrong values"):
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    with pytest.raises(Wrong, match="5 wrong values"):
        loop.kept(CPU, tmp_path, 100.0)


def test_a_driver_that_stays_mute_ends_it(short: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mute = replace(GOOD, unseen="the driver does not tell")
    monkeypatch.setattr(loop, "_Worker", Played(*(mute,) * 10))
    with pytest.raises(Inconclusive, match="the driver does not tell") as raised:
        loop.run(CPU, short, 100.0, tmp_path, lambda _: None)
    assert "nvidia-smi" in raised.value.remedy[0]


def test_what_was_computed_is_kept_where_the_driver_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        kind, index = "cuda", 0

        def other_processes(self) -> str:
            raise Inconclusive("the driver lists nobody")

    worker: Any = object.__new__(loop._Worker)
    worker._device, worker._samples, worker._work = Blind(), None, lambda: replace(GOOD, wrong=2)
    monkeypatch.setattr(loop, "sampling", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(loop, "_errors", lambda _: 4)
    assert worker.cycle() == replace(GOOD, wrong=2, errors=4, unseen="the driver lists nobody")

    @contextlib.contextmanager
    def slow(*_: object, **__: object) -> Iterator[None]:
        yield
        raise Inconclusive("sampled too slowly")

    monkeypatch.setattr(loop, "sampling", slow)
    assert worker.cycle() == replace(GOOD, wrong=2, errors=None, unseen="sampled too slowly")
    worker._work = lambda: pytest.fail("no work")
    monkeypatch.setattr(loop, "sampling", mute)
    with pytest.raises(Inconclusive, match="cannot even begin"):
        worker.cycle()


@contextlib.contextmanager
def mute(*_: object, **__: object) -> Iterator[None]:
    """Sampling that does not begin."""
    raise Inconclusive("cannot even begin")
    yield


def ended_after_a_cycle(arguments: list[str], results: Path, number: signal.Signals) -> Path:
    """Run a burn-in until it has kept a cycle, or one more than before, then end it; the run's folder."""
    before = sum(len(log.load(kept).cycles) for kept in results.glob(f"*/kept/{FILE}"))
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = results.with_suffix(".said")
    with said.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, env=env)
    folder = driver.wait_until_measuring(results, "BURN-IN")
    kept, deadline = folder / "kept" / FILE, time.monotonic() + 60
    while len(log.load(kept).cycles) <= before:
        assert time.monotonic() < deadline
        assert process.poll() is None, said.read_text(encoding="utf-8")
        time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    return folder


def test_one_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    results = tmp_path / "results"
    begin = [*BURN, "--minutes", "0.1", "--results", str(results)]
    folder = ended_after_a_cycle(begin, results, signal.SIGINT)
    resume = [*VALIDATE, "--resume", str(folder)]
    assert ended_after_a_cycle(resume, results, signal.SIGKILL) == folder
    before = log.load(folder / "kept" / FILE)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(resume, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (result for result in runs.load(folder).results if result.key == "BURN-IN")
    after = log.load(folder / "kept" / FILE)
    assert result.outcome.value == "passed"
    assert (before.pauses, before.interruptions) == (1, 0)
    assert (after.pauses, after.interruptions, after.restarts) == (1, 1, 0)
    assert 2 <= len(before.cycles) < len(after.cycles)
    assert after.cycles[: len(before.cycles)] == before.cycles
    assert after.minutes - after.cycles[-1].seconds / 60 < 0.1, "it did no more than asked"
    assert f"{after.minutes:.1f} of 0.1 min" in done.stdout
    said = [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["text"] for event in said if event["event"] == "said"][-1].startswith(f"{after.minutes:.1f} of")


def test_minutes_are_refused_where_no_burn_in_is_asked_for(tmp_path: Path) -> None:
    asked = [*VALIDATE, "--profile", "cpu", "--minutes", "5", "--results", str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Add --tier burn-in" in done.stderr


def test_too_few_minutes_are_refused_by_the_name_of_the_option(tmp_path: Path) -> None:
    done = subprocess.run([*BURN, "--minutes", "0.01", "--results", str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"Invalid value for '--minutes': Input should be greater than or equal to 0.1. `dgxcert" in done.stderr
