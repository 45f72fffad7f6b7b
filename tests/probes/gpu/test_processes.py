"""Other compute processes on a GPU are named, and measurements beside them are inconclusive."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from suites import example

from dgxcert.machine import driver_query
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import driver_answers, nvml
from dgxcert.probes.gpu import processes as gpu_processes

NO_SUCH_PID = 2**22 + 1
"""Above the largest process id of Linux."""


def machine(gpus: int) -> Machine:
    """A machine with that many GPUs."""
    cards = (Gpu(index=i, product="NVIDIA H200", uuid=f"GPU-{i}", compute_capability="9.0") for i in range(gpus))
    return example.MACHINE.model_copy(update={"gpus": tuple(cards)})


def busy(monkeypatch: pytest.MonkeyPatch, pids: dict[int, list[int]]) -> list[int]:
    """Plants these processes on these GPUs; returns the indexes that are queried."""
    queried: list[int] = []

    def processes(index: int) -> list[int]:
        queried.append(index)
        return pids.get(index, [])

    monkeypatch.setattr(nvml, "compute_processes", processes)
    monkeypatch.setattr(nvml, "activity", lambda index: nvml.Activity(0.0, ()))
    return queried


def test_every_gpu_of_the_driver_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    queried = busy(monkeypatch, {})
    assert gpu_processes.read(machine(8)) == 8
    assert queried == list(range(8))


def test_one_other_process_is_named_and_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, {3: [os.getpid()]})
    with pytest.raises(Inconclusive) as raised:
        gpu_processes.read(machine(8))
    name = Path(f"/proc/{os.getpid()}/comm").read_text(encoding="utf-8").strip()
    assert raised.value.problem == f"others use the GPUs of this machine (GPU 3: {name} ({os.getpid()}))"
    assert any("nvidia-smi" in step for step in raised.value.remedy)


def test_all_other_processes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, {0: [NO_SUCH_PID, NO_SUCH_PID + 1], 1: [NO_SUCH_PID + 2]})
    with pytest.raises(Inconclusive) as raised:
        gpu_processes.read(machine(2))
    first, second = f"process {NO_SUCH_PID}, process {NO_SUCH_PID + 1}", f"process {NO_SUCH_PID + 2}"
    assert f"(GPU 0: {first}; GPU 1: {second})" in raised.value.problem


def at_work(monkeypatch: pytest.MonkeyPatch, *utilization: float | None) -> None:
    """Plants a GPU that graphics use so much at each look, and no compute process."""
    busy(monkeypatch, {})
    looks = iter(utilization)
    monkeypatch.setattr(gpu_processes.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(nvml, "activity", lambda index: nvml.Activity(next(looks), (NO_SUCH_PID,)))


def test_graphics_that_keep_a_gpu_busy_are_named_and_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(monkeypatch, 0.97, 0.31, 0.97, 0.97)
    with pytest.raises(Inconclusive, match=f"GPU 0: 31% busy, with graphics: process {NO_SUCH_PID}"):
        gpu_processes.read(machine(1))


def test_who_keeps_a_gpu_busy_is_named_busiest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(monkeypatch, *[0.9] * 4)
    activity = nvml.Activity(0.9, (NO_SUCH_PID, os.getpid()), {NO_SUCH_PID: 0.02, os.getpid(): 0.61})
    monkeypatch.setattr(nvml, "activity", lambda index: activity)
    mine = gpu_processes.describe(os.getpid())
    with pytest.raises(Inconclusive, match=re.escape(f"graphics: {mine} 61%, process {NO_SUCH_PID} 2%")):
        gpu_processes.read(machine(1))


def test_a_gpu_that_is_busy_without_any_process_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of another PID namespace or of a MIG instance is in no list, and still takes time."""
    at_work(monkeypatch, *[0.9] * 4)
    monkeypatch.setattr(nvml, "activity", lambda index: nvml.Activity(0.9, ()))
    with pytest.raises(Inconclusive, match="90% busy, by no process that is listed"):
        gpu_processes.read(machine(1))


@pytest.mark.parametrize(
    "utilization", [(0.02,), (0.6, 0.9, 0.9, 0.05), (None,)], ids=["at rest", "a burst", "no figure"]
)
def test_a_desktop_is_no_neighbour(monkeypatch: pytest.MonkeyPatch, utilization: tuple[float | None, ...]) -> None:
    at_work(monkeypatch, *utilization)
    assert gpu_processes.read(machine(1)) == 1


def test_a_process_has_its_name_or_at_least_its_id() -> None:
    assert gpu_processes.describe(os.getpid()).endswith(f" ({os.getpid()})")
    assert gpu_processes.describe(NO_SUCH_PID) == f"process {NO_SUCH_PID}"


def test_a_name_that_is_not_utf_8_is_shown_with_replacements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "comm").write_bytes(b"tr\xe4in\n")
    monkeypatch.setattr(gpu_processes, "Path", lambda _: tmp_path / "comm")
    assert gpu_processes.describe(7) == "tr\ufffdin (7)"


def test_a_driver_that_refuses_is_no_idle_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(index: int) -> list[int]:
        raise Inconclusive(f"the driver does not answer for GPU {index}: GPU is lost")

    monkeypatch.setattr(nvml, "compute_processes", refuse)
    with pytest.raises(Inconclusive, match="does not answer for GPU 0: GPU is lost"):
        gpu_processes.read(machine(1))


def listed(monkeypatch: pytest.MonkeyPatch, pids: object) -> list[tuple[str, ...]]:
    """Plants the processes that NVML lists; returns the questions to the driver, answered in this process."""
    questions: list[tuple[str, ...]] = []

    def processes(gpu: object) -> list[SimpleNamespace]:
        if not isinstance(pids, list):
            raise pynvml.NVMLError(pids)
        assert gpu == "GPU 2"
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in pids]

    def ask(*question: str, **_: Any) -> dict[str, Any]:
        questions.append(question)
        return driver_answers.main(*question)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: f"GPU {index}")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", processes)
    monkeypatch.setattr(driver_query, "ask", ask)
    return questions


@pytest.mark.parametrize("pids", [[4711], [], [4711, 4712]])
def test_processes_are_those_that_nvml_lists(monkeypatch: pytest.MonkeyPatch, pids: list[int]) -> None:
    questions = listed(monkeypatch, pids)
    assert nvml.compute_processes(2) == pids
    assert questions == [("gpu", "2", "compute_processes")]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_GPU_IS_LOST])
def test_a_refused_list_is_no_empty_list(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    listed(monkeypatch, code)
    with pytest.raises(Inconclusive, match="does not report compute processes of GPU 2: "):
        nvml.compute_processes(2)


def test_without_a_gpu_nothing_is_idle() -> None:
    with pytest.raises(Inconclusive, match="lists no GPU"):
        gpu_processes.read(machine(0))
