"""The sampling process writes counters, a line per sample, and counters again; an error of the driver ends it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pynvml
import pytest

from dgxcert.probes.gpu import driver_answers, driver_samples

Driver = Callable[..., None]


def refuse(code: int) -> Callable[..., None]:
    """A function of NVML that refuses."""

    def call(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return call


@pytest.fixture(autouse=True)
def _restore_signals() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Sets the functions of NVML by the name of the field; the others are not supported."""

    def answer(**fields: Callable[..., Any]) -> None:
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: f"GPU {index}")
        missing = refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)
        for name in (*driver_samples.FIELDS, *driver_answers.PROCESSES, "counters"):
            monkeypatch.setitem(driver_answers.FIELDS, name, fields.get(name, missing))

    return answer


def orphaned_after(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the parent process end after some samples."""
    parents = iter([1000] * (samples + 1))  # the first is read before sampling
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_samples_are_between_two_readings_of_the_counters(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clocks, caps = iter([2400, 2411, 2405, 2409]), iter([7.0, 7.5])  # the first clock is read before sampling
    driver(clock=lambda nvml, gpu: next(clocks), counters=lambda nvml, gpu: {"power_cap": next(caps)})
    orphaned_after(3, monkeypatch)
    driver_samples.record_samples(2, 1000.0, tmp_path / "samples")
    first, *samples, last = lines(tmp_path / "samples")
    assert first["hertz"] == 1000.0
    assert (first["counters"], last["counters"]) == ({"power_cap": 7.0}, {"power_cap": 7.5})
    assert [sample["clock"] for sample in samples] == [2411, 2405, 2409]
    times = [line["t"] for line in (first, *samples, last)]
    assert times == sorted(times)
    assert last["cpu_s"] > 0


def test_a_field_that_the_driver_refuses_is_named_once_and_not_sampled(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver(clock=lambda nvml, gpu: 2411)
    orphaned_after(2, monkeypatch)
    driver_samples.record_samples(0, 1000.0, tmp_path / "samples")
    first, *samples, last = lines(tmp_path / "samples")
    refused = {*driver_samples.FIELDS, *driver_answers.PROCESSES} - {"clock"}
    assert first["refused"] == {name: {"code": 3, "says": "Not Supported"} for name in refused}
    assert [sorted(sample) for sample in samples] == [["clock", "t"]] * 2
    assert (first["counters"], last["counters"]) == ({}, {}), "a driver without counters"


def test_sigterm_ends_sampling_with_the_counters(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    readings = iter(range(100))

    def clock(nvml: object, gpu: object) -> int:
        reading = next(readings)
        if reading == 5:
            signal.raise_signal(signal.SIGTERM)
        return reading

    driver(clock=clock)
    driver_samples.record_samples(0, 1000.0, tmp_path / "samples")
    _, *samples, last = lines(tmp_path / "samples")
    assert [sample["clock"] for sample in samples] == [1, 2, 3, 4, 5], "the sample under way is kept"
    assert "counters" in last


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNKNOWN])
def test_an_error_under_load_ends_the_process(driver: Driver, tmp_path: Path, code: int) -> None:
    readings = iter([2411, 2411])

    def clock(nvml: object, gpu: object) -> int:
        reading = next(readings, None)
        if reading is None:
            raise pynvml.NVMLError(code)
        return reading

    driver(clock=clock)
    with pytest.raises(pynvml.NVMLError) as raised:
        driver_samples.record_samples(0, 1000.0, tmp_path / "samples")
    assert raised.value.value == code
    assert len(lines(tmp_path / "samples")) == 2, "the sample before it is written"


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNKNOWN])
def test_counters_that_err_are_not_missing_counters(driver: Driver, tmp_path: Path, code: int) -> None:
    driver(clock=lambda nvml, gpu: 2411, counters=refuse(code))
    with pytest.raises(pynvml.NVMLError):
        driver_samples.record_samples(0, 1000.0, tmp_path / "samples")


def test_every_sampled_field_is_one_that_the_driver_can_be_asked_for() -> None:
    assert set(driver_samples.FIELDS) <= set(driver_answers.FIELDS)


def test_who_uses_the_gpu_is_asked_at_first_and_then_twice_a_second(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver(clock=lambda nvml, gpu: 2411)
    monkeypatch.setitem(driver_answers.FIELDS, "compute_processes", lambda nvml, gpu: [7])
    monkeypatch.setitem(driver_answers.FIELDS, "process_utilization", refuse(pynvml.NVML_ERROR_NOT_SUPPORTED))
    monkeypatch.setattr(driver_samples, "PROCESSES_EVERY_S", 0.05)
    orphaned_after(12, monkeypatch)
    driver_samples.record_samples(2, 100.0, tmp_path / "samples")
    first, *samples, _ = lines(tmp_path / "samples")
    asked = [sample["t"] for sample in samples if "compute_processes" in sample]
    assert samples[0]["compute_processes"] == [7]
    assert 2 <= len(asked) < len(samples)
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(asked))
    assert first["refused"]["process_utilization"] == {"code": 3, "says": "Not Supported"}
