"""Where CUDA does not start, its error, the GPU and the likely cause are named; a hang or crash is inconclusive."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from suites import example

from dgxcert import command
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda_devices, nvml

UUIDS = [f"GPU-0000000{index}-0000-0000-0000-00000000000a" for index in range(2)]
CARDS = tuple(
    Gpu(index=index, product="NVIDIA H200", uuid=uuid, compute_capability="9.0") for index, uuid in enumerate(UUIDS)
)
MACHINE = example.MACHINE.model_copy(update={"gpus": CARDS})


def device(index: int, error: int = 0, product: str = "NVIDIA H200") -> dict[str, Any]:
    return {"product": product, "uuid": UUIDS[index].removeprefix("GPU-").replace("-", ""), "error": error}


BOTH = {"devices": [device(0), device(1)]}
Start = Callable[..., list[dict[str, str]]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Sets the answers of the process that starts CUDA, with all device files there; returns its environments."""
    monkeypatch.setattr(cuda_devices, "DEVICE_FILES", tmp_path)
    monkeypatch.setattr(cuda_devices, "MODULES", tmp_path / "modules")
    monkeypatch.setattr(nvml, "ask", lambda index, field: Answers(index, {field: [False, False]}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "modules").write_text("nvidia_uvm 1 0 - Live 0x0\n", encoding="ascii")
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1"):
        (tmp_path / name).touch()

    def plant(*answers: dict[str, Any] | int | None) -> list[dict[str, str]]:
        environments: list[dict[str, str]] = []
        left = list(answers)

        def run(args: list[str], *, timeout_s: float, env: dict[str, str]) -> command.Completed:
            assert args[1:] == ["-P", "-m", "dgxcert.probes.gpu.cuda_start"]
            environments.append(env)
            answer = left.pop(0)
            if isinstance(answer, dict):
                return command.Completed(tuple(args), 0, json.dumps(answer), "")
            return command.Completed(tuple(args), answer, "", "cuInit\nError: no module\n")

        monkeypatch.setattr(command, "run", run)
        return environments

    return plant


def test_cuda_that_starts_everywhere_has_no_problem(start: Start) -> None:
    start(BOTH)
    found = cuda_devices.read(MACHINE)
    assert (found.started, found.problem, found.remedy) == (2, "", ())


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (802, "nvidia-fabricmanager"),
        (46, "--gpu-reset"),
        (100, "nvidia-ctk cdi"),
        (999, "modprobe -r nvidia_uvm"),
        (3, "nvidia-modprobe"),
        (803, "sudo reboot"),
        (34, "stubs"),
        (804, "compat"),
        (777, "--gpu-reset"),
    ],
)
def test_each_error_of_cuda_has_its_remedy(start: Start, code: int, word: str) -> None:
    start({"error": code})
    found = cuda_devices.read(MACHINE)
    assert found.started == 0
    assert f"CUDA error {code}," in found.problem
    assert word in " ".join(found.remedy)


def test_the_gpu_whose_context_fails_is_named(start: Start) -> None:
    start({"devices": [device(0), device(1, error=46)]})
    found = cuda_devices.read(MACHINE)
    assert found.started == 1
    assert found.problem.startswith("GPU 1: CUDA error 46")


def test_a_gpu_that_cuda_does_not_offer_is_named(start: Start) -> None:
    start({"devices": [device(1)]})
    found = cuda_devices.read(MACHINE)
    assert (found.started, found.problem) == (1, "CUDA does not offer GPU 0")


def test_a_display_adapter_counts_neither_way(start: Start) -> None:
    start({"devices": [device(0), device(1, error=46, product="NVIDIA DGX Display")]})
    assert cuda_devices.read(MACHINE).started == 1
    start({"devices": [*BOTH["devices"], {"product": "NVIDIA DGX Display", "uuid": "", "error": 46}]})
    assert cuda_devices.read(MACHINE).problem == ""


def test_a_missing_library_is_named(start: Start) -> None:
    start({"missing": "libcuda.so.1: cannot open shared object file"})
    found = cuda_devices.read(MACHINE)
    assert "libcuda.so.1: cannot open" in found.problem
    assert "ldconfig -p" in found.remedy[0]


def test_what_may_be_the_cause_is_named_with_the_error(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-uvm").unlink()
    (tmp_path / "modules").write_text("nvidia 1 0 - Live 0x0\n", encoding="ascii")
    monkeypatch.setattr(nvml, "ask", lambda index, field: Answers(index, {field: [index == 1, False]}))
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "nvidia1")
    start({"error": 100})
    problem = cuda_devices.read(MACHINE).problem
    assert f"there is no {tmp_path}/nvidia-uvm" in problem
    assert f"this user may not open {tmp_path}/nvidia1" in problem
    assert "the module nvidia_uvm is not loaded" in problem
    assert "MIG is on, and without an instance CUDA has no device on GPU 1" in problem


def test_windows_linux_has_other_device_files(start: Start, tmp_path: Path) -> None:
    (tmp_path / "dxg").touch()
    (tmp_path / "nvidiactl").unlink()
    start({"error": 100})
    assert "there is no" not in cuda_devices.read(MACHINE).problem


@pytest.mark.parametrize("value", ["", "-1", "GPU-deadbeef", "1"])
def test_a_variable_that_hides_gpus_is_no_fault_of_the_machine(
    start: Start, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    environments = start(BOTH, {"error": 100})
    with pytest.raises(Inconclusive, match=f"CUDA_VISIBLE_DEVICES='{value}' hides GPUs") as raised:
        cuda_devices.read(MACHINE)
    assert ["CUDA_VISIBLE_DEVICES" in env for env in environments] == [False, True]
    assert raised.value.remedy == ("Run again without it: env -u CUDA_VISIBLE_DEVICES make validate",)


def test_a_variable_that_hides_nothing_is_no_problem(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    start(BOTH, BOTH)
    assert cuda_devices.read(MACHINE).started == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, r"CUDA did not start within 90 s \(cuInit\)"),
        (-11, r"CUDA crashes the process that starts it, by signal 11 \(cuInit\)"),
        (1, "CUDA could not be started: .*no module"),
    ],
    ids=["hangs", "crashes", "fails"],
)
def test_cuda_that_hangs_or_crashes_is_inconclusive(start: Start, code: int | None, message: str) -> None:
    start(code)
    with pytest.raises(Inconclusive, match=message):
        cuda_devices.read(MACHINE)


def test_a_machine_without_a_gpu_is_inconclusive(start: Start) -> None:
    assert start() == []
    with pytest.raises(Inconclusive, match="lists no GPU"):
        cuda_devices.read(example.MACHINE)
