"""Device memory is NVML's figure, or the system's where memory is unified; an error is never replaced by a figure."""

from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import device_memory, nvml
from dgxcert.probes.host import memory


class Refusal(int):
    """The NVML error code of a driver that refuses to answer."""


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., device_memory.DeviceMemory]:
    """The memory of a device whose driver reports this figure in GiB, or refuses with this code."""

    def read(device: Device, reported: float | Refusal) -> device_memory.DeviceMemory:
        def ask(index: int, *fields: str) -> Answers:
            assert (index, fields) == (device.index, ("memory_total",))
            if isinstance(reported, Refusal):
                return Answers(index, refused={"memory_total": {"code": int(reported), "says": "No"}})
            return Answers(index, {"memory_total": int(reported * 1024**3)})

        monkeypatch.setattr(nvml, "ask", ask)
        monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.5, 100.0, 15.0, 0.0))
        return device_memory.read(device)

    return read


UNIFIED = Device("cuda", 0, "GB10", memory=MemoryKind.UNIFIED)
NO_FIGURE = Refusal(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.mark.parametrize(
    ("device", "reported", "total", "source"),
    [
        (Device("cpu", 0, "CPU"), 80.0, 121.5, "MemTotal of /proc/meminfo"),
        (Device("cuda", 0, "H200"), 140.5, 140.5, "NVML"),
        (Device("cuda", 3, "H200"), 140.5, 140.5, "NVML"),
        (
            UNIFIED,
            NO_FIGURE,
            121.5,
            "memory is unified, NVML has no figure",
        ),
        (UNIFIED, 0, 121.5, "memory is unified, NVML has no figure"),
        (UNIFIED, 119.75, 119.75, "NVML"),
    ],
    ids=["cpu", "card", "another card", "unified", "unified with a zero", "unified with a figure"],
)
def test_device_memory_is_the_drivers_figure_or_the_systems(
    memory_of: Callable[..., Any], device: Device, reported: float | Refusal, total: float, source: str
) -> None:
    result = memory_of(device, reported)
    assert (result.total_gib, source in result.source) == (total, True)


@pytest.mark.parametrize("reported", [NO_FIGURE, 0])
def test_memory_without_a_figure_is_inconclusive(memory_of: Callable[..., Any], reported: float | Refusal) -> None:
    """Otherwise the system's memory would pass as the card's."""
    with pytest.raises(Inconclusive, match="no memory figure for H200, and its profile does not say"):
        memory_of(Device("cuda", 0, "H200"), reported)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST])
def test_an_error_of_the_driver_is_inconclusive(memory_of: Callable[..., Any], code: int) -> None:
    with pytest.raises(Inconclusive, match="does not report memory total of GPU 0: No"):
        memory_of(UNIFIED, Refusal(code))


@pytest.mark.parametrize(
    ("integrated", "available", "source"),
    [
        (True, 100.0, "MemAvailable of /proc/meminfo: memory is unified"),
        (False, 140.5, "all memory of the card, by NVML"),
    ],
)
def test_free_memory_by_cuda_comes_with_the_available_memory(
    memory_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, integrated: bool, available: float, source: str
) -> None:
    device = Device("cuda", 0, "GPU")
    memory_of(device, 140.5)
    monkeypatch.setattr(Device, "cuda_free_bytes", lambda self: 40 * 1024**3)
    monkeypatch.setattr(Device, "shares_system_memory", integrated)
    assert device_memory.free(device) == device_memory.Free(40.0, available, source)
