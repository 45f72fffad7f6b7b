"""Accelerator: the process of accelerate's own test sees one device, which is named by its index there."""

import pytest

from dgxcert.machine.device import Device
from dgxcert.workloads import fresh_process
from dgxcert.workloads.stack import accelerator


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        (Device("cpu", 0, "CPU"), {"ACCELERATE_USE_CPU": "true"}, "cpu"),
        (Device("cuda", 3, "NVIDIA H100"), {"CUDA_VISIBLE_DEVICES": "3"}, "cuda:0"),
    ],
)
def test_the_process_sees_this_device_only(
    monkeypatch: pytest.MonkeyPatch, device: Device, visible: dict[str, str], name: str
) -> None:
    def run(module: str, env: dict[str, str]) -> dict[str, object]:
        assert (module, env) == ("stack.accelerator", visible)
        return {"device": name, "processes": 1, "parts": ", ".join(accelerator.PARTS)}

    monkeypatch.setattr(fresh_process, "run", run)
    result = accelerator.run(device)
    assert (result.device, result.processes) == (accelerator.expected(device), 1)


@pytest.mark.parametrize(("name", "expected"), [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")])
def test_a_gpu_without_an_index_is_the_first(name: str, expected: str) -> None:
    torch = pytest.importorskip("torch", reason="a device is torch's: make setup")
    assert accelerator._name(torch.device(name)) == expected
