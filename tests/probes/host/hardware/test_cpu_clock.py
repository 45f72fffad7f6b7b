"""CPU clocks: each core is kept busy and compared with its own range; missing processors are named."""

import contextlib
import os
from pathlib import Path

import pytest

from dgxcert.probes.host.hardware import cpu_clock


@pytest.fixture
def cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in place of /sys/devices/system/cpu; nothing is pinned, and reading takes no time."""
    monkeypatch.setattr(cpu_clock, "CPUS", tmp_path)
    monkeypatch.setattr(cpu_clock, "BUSY_S", 0.002)
    monkeypatch.setattr(cpu_clock, "pinned", lambda core: contextlib.nullcontext())
    return tmp_path


def write(cpus: Path, core: int, **files: object) -> None:
    folder = cpus / f"cpu{core}/cpufreq"
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n", encoding="ascii")


def scaling(cpus: Path, core: int, busy: int, lowest: int, highest: int, allowed: int | None = None) -> None:
    clocks = {"cpuinfo_min_freq": lowest, "cpuinfo_max_freq": highest, "scaling_max_freq": allowed or highest}
    write(cpus, core, scaling_cur_freq=busy, scaling_governor="schedutil", scaling_driver="cppc_cpufreq", **clocks)


def test_each_core_is_compared_with_its_own_range(cpus: Path) -> None:
    scaling(cpus, 0, 2_800_000, 338_000, 2_860_000)
    scaling(cpus, 10, 1_378_000, 1_378_000, 4_004_000)
    found = cpu_clock.read()
    assert found.slowest == pytest.approx(0.344, abs=1e-3)
    assert "core 10 runs at 1378 of 1378-4004 MHz (schedutil, cppc_cpufreq)" in found.source
    assert found.allowed == 1
    assert found.remedy == cpu_clock.SLOW


def test_a_limit_that_was_set_is_seen(cpus: Path) -> None:
    scaling(cpus, 0, 3_000_000, 1_378_000, 4_004_000, allowed=3_000_000)
    assert cpu_clock.read().allowed == pytest.approx(0.749, abs=1e-3)


def test_of_many_cores_some_are_kept_busy(cpus: Path) -> None:
    for core in range(64):
        scaling(cpus, core, 3_000_000, 800_000, 3_800_000)
    indexes = [core.index for core in cpu_clock.read().cores]
    assert len(indexes) == 16
    assert indexes[:2] == [0, 4]


def test_a_machine_without_frequency_scaling_has_nothing_to_judge(cpus: Path) -> None:
    found = cpu_clock.read()
    assert (found.cores, found.slowest, found.allowed, found.missing_share) == ((), 1.0, 1.0, 0.0)
    assert "reports no clocks" in found.source


def test_a_core_without_a_reading_is_left_out(cpus: Path) -> None:
    write(cpus, 0, scaling_cur_freq="<unknown>", cpuinfo_max_freq=4_004_000)
    assert cpu_clock.read().cores == ()


def test_offline_and_isolated_processors_are_missing(cpus: Path) -> None:
    for name, text in (("present", "0-19"), ("online", "0-17"), ("isolated", "2-3")):
        (cpus / name).write_text(f"{text}\n", encoding="ascii")
    found = cpu_clock.read()
    assert found.missing == (2, 3, 18, 19)
    assert found.missing_share == 0.2
    assert found.remedy == cpu_clock.MISSING


def test_second_threads_that_were_switched_off_are_not_missing(cpus: Path) -> None:
    (cpus / "smt").mkdir()
    for name, text in (("present", "0-15"), ("online", "0-7"), ("isolated", ""), ("smt/control", "off")):
        (cpus / name).write_text(f"{text}\n", encoding="ascii")
    assert cpu_clock.read().missing == ()


def test_this_thread_runs_on_the_core_and_is_free_again() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with cpu_clock.pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(OSError, match="Invalid argument"), cpu_clock.pinned(1000):
        pass


def test_a_core_on_which_this_process_may_not_run_is_left_out(monkeypatch: pytest.MonkeyPatch, cpus: Path) -> None:
    scaling(cpus, 0, 3_000_000, 800_000, 3_800_000)

    def refuse(core: int) -> contextlib.AbstractContextManager[None]:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cpu_clock, "pinned", refuse)
    assert cpu_clock.read().cores == ()
