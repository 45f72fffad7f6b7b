"""Probes of GPUs and packages say what is there, and never take "could not look" for "is not there"."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert.device import Device
from dgxcert.machine import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes import cuda, device_memory, memory, nvml, package, pci

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


def test_only_nvidias_display_devices_are_gpus(tmp_path: Path) -> None:
    assert pci.read(bus(tmp_path / "two", NVIDIA_GPU, *OTHERS, NVIDIA_3D)) == 2
    assert pci.read(bus(tmp_path / "none", *OTHERS)) == 0


def test_a_bus_that_cannot_be_looked_at_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert pci.read(tmp_path / "nowhere") is None
    monkeypatch.setattr(pci, "read", lambda: None)
    with pytest.raises(Inconclusive, match="cannot be told"):
        pci.count()
    monkeypatch.setattr(pci, "read", lambda: 0)
    assert pci.count() == 0


def installed(folder: Path, name: str, code: str | None) -> None:
    """A distribution as pip leaves it, its module with or without code."""
    (folder / f"{name}-1.5.dist-info").mkdir()
    (folder / f"{name}-1.5.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    if code is not None:
        (folder / f"{name}.py").write_text(code)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x = 1", ""),
        ("import no_such_library_below", "ModuleNotFoundError: No module named 'no_such_library_below'"),
        ("raise OSError('libcudart.so.12: cannot open')", "OSError: libcudart.so.12: cannot open"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (None, "ModuleNotFoundError: No module named 'made_up_6'"),
    ],
    ids=["whole", "dependency", "library", "syntax", "files gone"],
)
def test_a_package_is_imported_and_says_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, code: str | None, problem: str
) -> None:
    name = "made_up_6"
    installed(tmp_path, name, code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    found = package.read(name)
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert (found.version, found.imports) == ("1.5", not problem)
    assert found.problem.startswith(problem)
    assert found.says == f"import {name}: {found.problem or tmp_path / f'{name}.py'}"


def test_a_package_that_is_not_installed_does_not_import() -> None:
    found = package.read("no-such-distribution")
    assert (found.imports, found.version) == (False, "not installed")
    assert found.says == "import no-such-distribution: no-such-distribution is not installed"


def test_a_package_may_import_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert package.read("nvidia-ml-py").problem == "ModuleNotFoundError: No module named 'nvidia-ml-py'"
    monkeypatch.setitem(package.MODULES, "nvidia-ml-py", "pynvml")
    assert package.read("nvidia-ml-py").imports


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
    assert cuda.read() == cuda.Cuda(version is not None, 3, f"torch 2.10, built for {build}")


class Refusal(int):
    """A code that NVML answers with instead of a value."""


def _raising(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return refuse


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_a_driver_that_is_absent_offers_no_gpu(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", _raising(code))
    found = nvml.read()
    assert found.gpus == ()
    assert found.says == f"NVML: {pynvml.NVMLError(code)}"


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_TIMEOUT])
def test_a_driver_that_errs_is_no_answer(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", _raising(code))
    with pytest.raises(Inconclusive, match="the NVIDIA driver does not answer"):
        nvml.read()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A driver that lists one GB10 and answers everything but what is said otherwise."""

    def answer(**otherwise: object) -> None:
        usual: dict[str, object] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
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
            monkeypatch.setattr(
                pynvml, name, _raising(value) if isinstance(value, Refusal) else lambda *_, it=value: it
            )

    return answer


def test_a_gb10_is_read_with_what_its_driver_has_no_figure_for(driver: Callable[..., None]) -> None:
    driver()
    found = nvml.read()
    assert found.gpus == (GB10.model_copy(update={"vbios": "9A.0B.25.00.00"}),)
    assert (found.says, found.cuda) == ("NVML, driver 580.126.09", "13.0")


@pytest.mark.parametrize(("total", "gib"), [(0, None), (150754820096, 140.4015)])
def test_a_memory_of_nothing_is_no_figure(driver: Callable[..., None], total: int, gib: float | None) -> None:
    driver(nvmlDeviceGetMemoryInfo=SimpleNamespace(total=total))
    assert nvml.gpu(0).memory_gib == (gib and pytest.approx(gib))


@pytest.mark.parametrize("asked", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUUID", "nvmlSystemGetDriverVersion"])
def test_a_driver_that_errs_half_way_is_no_answer(driver: Callable[..., None], asked: str) -> None:
    driver(**{asked: Refusal(pynvml.NVML_ERROR_UNKNOWN)})
    with pytest.raises(Inconclusive, match="the NVIDIA driver does not answer: Unknown"):
        nvml.read()


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., device_memory.DeviceMemory]:
    def read(device: Device, gib: float | None) -> device_memory.DeviceMemory:
        driver = nvml.Driver("580", "13.0", (GB10.model_copy(update={"memory_gib": gib}),))
        monkeypatch.setattr(nvml, "read", lambda: driver)
        monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.6, 100.0, 15.0, 0.0))
        return device_memory.read(device)

    return read


@pytest.mark.parametrize(
    ("device", "gib", "total", "source"),
    [
        (Device("cpu", 0, "CPU"), 80.0, 121.6, "MemTotal of /proc/meminfo"),
        (Device("cuda", 0, "H200"), 140.4, 140.4, "NVML"),
        (Device("cuda", 0, "GB10", unified_memory=True), None, 121.6, "memory is unified, NVML has no figure"),
        (Device("cuda", 0, "GB10", unified_memory=True), 119.7, 119.7, "NVML"),
    ],
    ids=["cpu", "card", "unified", "unified with a figure"],
)
def test_device_memory_is_the_drivers_figure_or_the_systems(
    memory_of: Callable[..., Any], device: Device, gib: float | None, total: float, source: str
) -> None:
    found = memory_of(device, gib)
    assert (found.total_gib, source in found.source) == (total, True)


def test_memory_that_nobody_tells_is_inconclusive(memory_of: Callable[..., Any]) -> None:
    """The system's memory would else pass for the card's."""
    with pytest.raises(Inconclusive, match="no memory figure for H200, and its profile does not say"):
        memory_of(Device("cuda", 0, "H200"), None)
    with pytest.raises(Inconclusive, match="lists no GPU 1"):
        memory_of(Device("cuda", 1, "H200"), 140.4)


def test_one_lost_gpu_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu(index: int) -> Gpu:
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return GB10.model_copy(update={"index": index})

    monkeypatch.setattr(nvml, "_gpu", gpu)
    gpus, lost = nvml._gpus(3)
    assert ([each.index for each in gpus], lost) == ([0, 2], (1,))
