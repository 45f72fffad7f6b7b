"""Probes of GPUs and packages say what is there, and never take "could not look" for "is not there"."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert.machine import driver_query
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda, device_memory, driver_answers, nvml, pci
from dgxcert.probes.host import memory

GB10 = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-0", compute_capability="12.1")


NVIDIA_GPU, NVIDIA_3D = {"vendor": "0x10de", "class": "0x030000"}, {"vendor": "0x10de", "class": "0x030200"}
OTHERS = [
    {"vendor": "0x10de", "class": "0x040300"},  # the sound of the same card
    {"vendor": "0x10de", "class": "0x068000"},  # an NVSwitch
    {"vendor": "0x15b3", "class": "0x020000"},  # ConnectX-7
    {"vendor": "0x1a03", "class": "0x030000"},  # the board's own VGA
    {"class": "0x030000"},
    {},
]


def bus(devices: Path, *entries: dict[str, str]) -> Path:
    for number, entry in enumerate(entries):
        (devices / f"0000:{number:02}:00.0").mkdir(parents=True)
        for name, word in entry.items():
            (devices / f"0000:{number:02}:00.0" / name).write_text(f"{word}\n")
    return devices


@pytest.mark.parametrize(("devices", "count"), [((NVIDIA_GPU, *OTHERS, NVIDIA_3D), 2), (OTHERS, 0)])
def test_only_nvidias_display_devices_are_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: tuple[Any, ...], count: int
) -> None:
    monkeypatch.setattr(pci, "DEVICES", bus(tmp_path / "bus", *devices))
    assert pci.read() == count


def test_a_bus_that_cannot_be_looked_at_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pci, "DEVICES", tmp_path / "nowhere")
    assert pci.read() is None
    monkeypatch.setattr(pci, "read", lambda: None)
    with pytest.raises(Inconclusive, match="could not be counted"):
        pci.count()
    monkeypatch.setattr(pci, "read", lambda: 0)
    assert pci.count() == 0


@pytest.mark.parametrize("hidden", ["0", "", "-1", "GPU-8f6b"])
def test_gpus_that_the_environment_hides_were_not_looked_at(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setitem(sys.modules, "torch", None)  # it must not even be asked
    with pytest.raises(Inconclusive, match=f"CUDA_VISIBLE_DEVICES is set to '{hidden}'"):
        cuda.read()


@pytest.mark.parametrize(("version", "build"), [("13.0", "CUDA 13.0"), (None, "CUDA none")])
def test_cuda_is_what_torch_says(monkeypatch: pytest.MonkeyPatch, version: str | None, build: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen = SimpleNamespace(is_available=lambda: version is not None, device_count=lambda: 3)
    torch = SimpleNamespace(__version__="2.10", version=SimpleNamespace(cuda=version), cuda=seen)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert cuda.read() == cuda.Cuda(version is not None, 3, f"torch 2.10, built for {build}", version)


def test_the_major_version_of_cuda_is_a_number_or_nobody_knows_it() -> None:
    """13.1 needs no other driver branch than 13.0 does; `9` would be above `13` by its letters."""
    assert [cuda.Cuda(True, 1, "torch 2.10", version).major for version in ("13.0", "13.1", "9.2")] == [13, 13, 9]
    with pytest.raises(Inconclusive, match="built for CUDA none: there is no CUDA version that a driver could support"):
        _ = cuda.Cuda(False, 0, "torch 2.10, built for CUDA none").major


class Refusal(int):
    """A code that NVML answers with instead of a value."""


def _raising(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return refuse


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The questions to the driver, answered in this process, where fakes reach, and passed through JSON."""
    questions: list[tuple[str, ...]] = []

    def ask(*question: str, timeout_s: float, remember: bool = True) -> dict[str, Any]:
        assert (timeout_s, remember) == (30, True)
        questions.append(question)
        return dict(json.loads(json.dumps(driver_answers.main(*question))))

    monkeypatch.setattr(driver_query, "ask", ask)
    return questions


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]) -> Callable[..., None]:
    """A driver that lists one GB10 and answers everything but what is said otherwise."""

    def answer(**otherwise: object) -> None:
        usual: dict[str, object] = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": "NVIDIA GB10",
            "nvmlDeviceGetUUID": "GPU-0",
            "nvmlDeviceGetCudaComputeCapability": (12, 1),
            "nvmlDeviceGetMemoryInfo": Refusal(pynvml.NVML_ERROR_NOT_SUPPORTED),
            "nvmlDeviceGetSerial": Refusal(pynvml.NVML_ERROR_NO_PERMISSION),
            "nvmlDeviceGetVbiosVersion": "9A.0B.25.00.00",
            "nvmlSystemGetDriverVersion": "580.126.09",
            "nvmlSystemGetCudaDriverVersion_v2": 13000,
        }
        for name, value in (usual | otherwise).items():
            fake = value if callable(value) else lambda *_, it=value: it
            monkeypatch.setattr(pynvml, name, _raising(value) if isinstance(value, Refusal) else fake)

    return answer


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_a_driver_that_is_absent_offers_no_gpu(driver: Callable[..., None], code: int) -> None:
    driver(nvmlInit=Refusal(code))
    found = nvml.read()
    assert (found.gpus, found.version, found.mismatch) == ((), None, None)
    assert found.source == f"NVML: {pynvml.NVMLError(code)}"
    assert nvml.require_consistent() == found
    with pytest.raises(Inconclusive, match="no driver is loaded: "):
        nvml.require_loaded()
    with pytest.raises(Inconclusive, match="no driver is loaded: "):
        _ = found.known_version


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_TIMEOUT])
def test_a_driver_that_errs_is_no_answer(driver: Callable[..., None], code: int) -> None:
    driver(nvmlInit=Refusal(code))
    with pytest.raises(Inconclusive, match="the NVIDIA driver does not answer: "):
        nvml.read()
    with pytest.raises(Inconclusive, match="the driver does not answer for GPU 0: "):
        nvml.ask(0, "uuid")


def test_a_driver_that_is_half_updated_is_neither_there_nor_absent(driver: Callable[..., None]) -> None:
    driver(nvmlInit=Refusal(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))
    found = nvml.read()
    assert (found.absence, found.gpus) == (None, ())
    assert found.mismatch == str(pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))
    for question in (nvml.require_consistent, nvml.require_loaded):
        with pytest.raises(Inconclusive, match=r"only half updated: .*version mismatch") as raised:
            question()
        assert raised.value.remedy == ("See DRIVER-AGREES first.",)


def test_a_gb10_is_read_with_what_its_driver_has_no_figure_for(driver: Callable[..., None]) -> None:
    driver()
    found = nvml.read()
    assert found.gpus == (GB10.model_copy(update={"vbios": "9A.0B.25.00.00"}),)
    assert (found.source, found.cuda, found.branch) == ("NVML, driver 580.126.09", "13.0", 580)


def test_a_gpu_that_the_driver_does_not_list_is_not_looked_at(driver: Callable[..., None]) -> None:
    driver()
    with pytest.raises(Inconclusive, match="lists no GPU 1"):
        nvml.gpu(1)


def test_the_newest_cuda_that_a_driver_serves_is_a_number_or_nobody_knows_it(driver: Callable[..., None]) -> None:
    driver(nvmlSystemGetCudaDriverVersion_v2=12080)
    found = nvml.read()
    assert (found.cuda, found.cuda_major) == ("12.8", 12)
    with pytest.raises(Inconclusive, match="the driver reports no CUDA version that it supports: None"):
        _ = nvml.Driver("580.95.05", None, ()).cuda_major


@pytest.mark.parametrize(("total", "gib"), [(0, None), (150754820096, 140.4015)])
def test_a_memory_of_nothing_is_no_figure(driver: Callable[..., None], total: int, gib: float | None) -> None:
    driver(nvmlDeviceGetMemoryInfo=SimpleNamespace(total=total))
    assert nvml.gpu(0).memory_gib == (gib and pytest.approx(gib))


def test_a_gpu_whose_memory_errs_still_has_a_name(driver: Callable[..., None]) -> None:
    """Its memory is another requirement's question, which must not take the GPU's presence along."""
    driver(nvmlDeviceGetMemoryInfo=Refusal(pynvml.NVML_ERROR_UNKNOWN))
    assert [(each.product, each.memory_gib) for each in nvml.read().gpus] == [("NVIDIA GB10", None)]
    with pytest.raises(Inconclusive, match="does not report memory total of GPU 0: Unknown Error"):
        device_memory.read(Device("cuda", 0, "GB10", unified_memory=True))


@pytest.mark.parametrize(
    ("errs", "says"),
    [
        ("nvmlDeviceGetUUID", "the driver does not report uuid of GPU 0: Unknown Error"),
        ("nvmlDeviceGetVbiosVersion", "the driver does not report vbios of GPU 0: Unknown Error"),
        ("nvmlSystemGetDriverVersion", "the NVIDIA driver does not answer: Unknown Error"),
        ("nvmlDeviceGetCount", "the NVIDIA driver does not answer: Unknown Error"),
    ],
)
def test_a_driver_that_errs_half_way_is_no_answer(driver: Callable[..., None], errs: str, says: str) -> None:
    driver(**{errs: Refusal(pynvml.NVML_ERROR_UNKNOWN)})
    with pytest.raises(Inconclusive, match=says):
        nvml.read()


@pytest.mark.parametrize("dies", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
def test_one_lost_gpu_does_not_hide_the_others(driver: Callable[..., None], dies: str) -> None:
    def answer(asked: object) -> object:
        index = asked if isinstance(asked, int) else asked.index
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return f"GPU-{index}"

    fakes: dict[str, object] = {
        "nvmlDeviceGetCount": 3,
        "nvmlDeviceGetHandleByIndex": lambda index: SimpleNamespace(index=index),
        dies: answer,
    }
    driver(**fakes)
    found = nvml.read()
    assert ([each.index for each in found.gpus], found.lost) == ([0, 2], (1,))


def test_a_gpu_is_asked_for_all_fields_at_once_and_each_refusal_is_kept(
    driver: Callable[..., None], asked: list[tuple[str, ...]]
) -> None:
    driver(nvmlDeviceGetPersistenceMode=1, nvmlDeviceGetMigMode=Refusal(pynvml.NVML_ERROR_NOT_SUPPORTED))
    found = nvml.ask(0, "persistence", "mig", "serial")
    assert asked == [("gpu", "0", "persistence", "mig", "serial")]
    assert found["persistence"] is True
    assert found.if_supported("mig") is None
    with pytest.raises(Inconclusive, match="does not report mig of GPU 0: Not Supported"):
        _ = found["mig"]
    with pytest.raises(Inconclusive, match="does not report serial of GPU 0: Insufficient Permissions"):
        found.if_supported("serial")
    with pytest.raises(Inconclusive, match="does not report power w of GPU 0: no answer"):
        _ = found["power_w"]


def test_a_driver_that_is_really_asked_answers_or_is_absent() -> None:
    """Nothing is faked here: the question goes through a process, on this machine, whatever it has."""
    found = nvml.read()
    assert bool(found.version) != bool(found.absence or found.mismatch)


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., device_memory.DeviceMemory]:
    """The memory of a device for which the driver has this figure, or refuses with this code."""

    def read(device: Device, told: float | Refusal) -> device_memory.DeviceMemory:
        def ask(index: int, *fields: str) -> Answers:
            assert (index, fields) == (device.index, ("memory_total",))
            if isinstance(told, Refusal):
                return Answers(index, refused={"memory_total": {"code": int(told), "says": "No"}})
            return Answers(index, {"memory_total": int(told * 1024**3)})

        monkeypatch.setattr(nvml, "ask", ask)
        monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.5, 100.0, 15.0, 0.0))
        return device_memory.read(device)

    return read


NO_FIGURE = Refusal(pynvml.NVML_ERROR_NOT_SUPPORTED)


@pytest.mark.parametrize(
    ("device", "told", "total", "source"),
    [
        (Device("cpu", 0, "CPU"), 80.0, 121.5, "MemTotal of /proc/meminfo"),
        (Device("cuda", 0, "H200"), 140.5, 140.5, "NVML"),
        (Device("cuda", 3, "H200"), 140.5, 140.5, "NVML"),
        (Device("cuda", 0, "GB10", unified_memory=True), NO_FIGURE, 121.5, "memory is unified, NVML has no figure"),
        (Device("cuda", 0, "GB10", unified_memory=True), 0, 121.5, "memory is unified, NVML has no figure"),
        (Device("cuda", 0, "GB10", unified_memory=True), 119.75, 119.75, "NVML"),
    ],
    ids=["cpu", "card", "another card", "unified", "unified with a zero", "unified with a figure"],
)
def test_device_memory_is_the_drivers_figure_or_the_systems(
    memory_of: Callable[..., Any], device: Device, told: float | Refusal, total: float, source: str
) -> None:
    found = memory_of(device, told)
    assert (found.total_gib, source in found.source) == (total, True)


@pytest.mark.parametrize("told", [NO_FIGURE, 0])
def test_memory_that_nobody_tells_is_inconclusive(memory_of: Callable[..., Any], told: float | Refusal) -> None:
    """The system's memory would else pass for the card's."""
    with pytest.raises(Inconclusive, match="no memory figure for H200, and its profile does not say"):
        memory_of(Device("cuda", 0, "H200"), told)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST])
def test_a_driver_that_errs_has_a_figure_that_nobody_may_make_up(memory_of: Callable[..., Any], code: int) -> None:
    with pytest.raises(Inconclusive, match="does not report memory total of GPU 0: No"):
        memory_of(Device("cuda", 0, "GB10", unified_memory=True), Refusal(code))


@pytest.mark.parametrize(
    ("integrated", "available", "source"),
    [
        (True, 100.0, "MemAvailable of /proc/meminfo: memory is unified"),
        (False, 140.5, "all memory of the card, by NVML"),
    ],
)
def test_what_cuda_calls_free_is_held_beside_what_is_there(
    memory_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, integrated: bool, available: float, source: str
) -> None:
    device = Device("cuda", 0, "GPU")
    memory_of(device, 140.5)
    monkeypatch.setattr(Device, "cuda_free_bytes", lambda self: 40 * 1024**3)
    monkeypatch.setattr(Device, "shares_system_memory", integrated)
    assert device_memory.free(device) == device_memory.Free(40.0, available, source)
