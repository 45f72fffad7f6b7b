"""A container learns from outside who is on a GPU, and never takes silence for an idle GPU."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import driver_answers, nvml
from dgxcert.probes.gpu.sharing import outside_view

UUID = "GPU-8d93"


class Driver:
    """NVML in a container: by the processes of its own PID namespace alone."""

    NVMLError = pynvml.NVMLError
    NVMLError_NotFound = pynvml.NVMLError_NotFound
    NVMLError_InsufficientSize = pynvml.NVMLError_InsufficientSize

    def __init__(self, *pids: int) -> None:
        self.pids = pids

    def nvmlDeviceGetUUID(self, gpu: object) -> str:
        return UUID

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: object) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.pids]

    nvmlDeviceGetGraphicsRunningProcesses = nvmlDeviceGetComputeRunningProcesses


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a container, empty so far; nobody waits long for it."""
    path = tmp_path / "gpu-processes.jsonl"
    path.touch()
    monkeypatch.setattr(outside_view, "FILE", path)
    monkeypatch.setattr(outside_view, "WAIT_S", 0.1)
    return path


def seen(path: Path, age_s: float = 0.0, refused: dict[str, Any] | None = None, **answered: object) -> None:
    """Append a look."""
    look = {"answered": answered, "refused": refused or {}}
    with path.open("a") as file:
        file.write(json.dumps({"t": time.monotonic() - age_s, "gpus": {UUID: look}}) + "\n")


def asked(*fields: str, driver: Driver | None = None) -> dict[str, dict[str, Any]]:
    return driver_answers.ask(driver or Driver(7), "card", fields)


def test_in_a_container_of_a_run_questions_about_processes_are_answered_from_outside(view: Path) -> None:
    seen(view, compute_processes=[1])
    seen(view, compute_processes=[41, 42], foreign_processes=[42], graphics_processes=[5], process_utilization={"5": 9})
    assert asked(*outside_view.FIELDS)["answered"] == {
        "compute_processes": [41, 42],
        "foreign_processes": [42],
        "graphics_processes": [5],
        "process_utilization": {"5": 9},
    }


@pytest.mark.parametrize("age_s", [None, 60.0], ids=["no look", "an old look"])
def test_silence_is_no_idle_gpu(view: Path, age_s: float | None) -> None:
    if age_s is not None:
        seen(view, age_s, compute_processes=[])
    refused = asked("compute_processes")["refused"]["compute_processes"]
    assert refused["code"] is None
    assert "has not looked" in refused["says"]


def test_a_gpu_that_nobody_watches_is_no_idle_one(view: Path) -> None:
    view.write_text(json.dumps({"t": time.monotonic(), "gpus": {}}) + "\n")
    assert "does not watch" in asked("compute_processes")["refused"]["compute_processes"]["says"]


def test_half_a_line_is_not_read(view: Path) -> None:
    seen(view, compute_processes=[41])
    with view.open("a") as file:
        file.write('{"t": 99999999, "gpus": {')
    assert asked("compute_processes")["answered"] == {"compute_processes": [41]}


def test_what_the_driver_refuses_outside_it_refuses_inside(view: Path) -> None:
    seen(view, refused={"compute_processes": {"code": 3, "says": "Not Supported"}})
    assert asked("compute_processes")["refused"]["compute_processes"]["code"] == 3


def test_elsewhere_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(outside_view, "FILE", tmp_path / "none")
    answers = asked("compute_processes", "graphics_processes", "foreign_processes")
    assert answers["answered"] == {"compute_processes": [7], "graphics_processes": [7]}
    assert answers["refused"]["foreign_processes"]["code"] == pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("namespace", "pids", "hidden"),
    [
        ("pid:[4026532999]", (os.getppid(),), True),  # a driver that knows of namespaces
        ("pid:[4026532999]", (2**22 + 1,), False),  # an older one, which lists the host's ids
        (outside_view.OF_THE_HOST, (os.getppid(),), False),
    ],
)
def test_a_container_by_hand_whose_driver_shows_only_its_own_processes_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, namespace: str, pids: tuple[int, ...], hidden: bool
) -> None:
    monkeypatch.setattr(outside_view, "FILE", tmp_path / "none")
    monkeypatch.setattr(os, "readlink", lambda _: namespace)
    answers = asked("compute_processes", driver=Driver(*pids))
    if hidden:
        assert "sees no process of others" in answers["refused"]["compute_processes"]["says"]
    else:
        assert answers["answered"] == {"compute_processes": list(pids)}


def test_who_cannot_tell_is_told_what_to_do(view: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml.driver_query, "ask_gpu", lambda index, *fields, **_: nvml.Answers(index, **asked(*fields)))
    with pytest.raises(Inconclusive, match=r"compute processes of GPU 0: the host, .* has not looked yet") as raised:
        nvml.compute_processes(0)
    assert "make validate" in raised.value.remedy[0]
