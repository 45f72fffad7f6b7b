"""A missing driver means no GPU, one lost GPU hides no other, and an error of the driver is never an answer."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dgxcert.machine import driver_query, nvml_errors
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Gpu, MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import device_memory, driver_answers, nvml

GB10 = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-0", compute_capability="12.1")


class Refusal(int):
    """The NVML error code of a driver that refuses to answer."""


def _raising(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return refuse


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The questions to the driver, answered in this process by the planted NVML and passed through JSON."""
    asked: list[tuple[str, ...]] = []

    def ask(*question: str, timeout_s: float, remember: bool = True) -> dict[str, Any]:
        assert (timeout_s, remember) == (30, True)
        asked.append(question)
        return dict(json.loads(json.dumps(driver_answers.main(*question))))

    monkeypatch.setattr(driver_query, "ask", ask)
    return asked


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, questions: list[tuple[str, ...]]) -> Callable[..., None]:
    """A driver that lists one GB10, with some of its functions returning something else."""

    def answer(**changed: object) -> None:
        healthy: dict[str, object] = {
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
        for name, value in (healthy | changed).items():
            planted = value if callable(value) else lambda *_, result=value: result
            monkeypatch.setattr(pynvml, name, _raising(value) if isinstance(value, Refusal) else planted)

    return answer


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_a_driver_that_is_absent_offers_no_gpu(driver: Callable[..., None], code: int) -> None:
    driver(nvmlInit=Refusal(code))
    reading = nvml.read()
    assert (reading.gpus, reading.version, reading.mismatch) == ((), None, None)
    assert reading.source == f"NVML: {pynvml.NVMLError(code)}"
    assert nvml.require_consistent() == reading
    with pytest.raises(Inconclusive, match="no driver is loaded: "):
        nvml.require_loaded()
    with pytest.raises(Inconclusive, match="no driver is loaded: "):
        _ = reading.known_version


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_TIMEOUT])
def test_an_error_of_the_driver_is_inconclusive(driver: Callable[..., None], code: int) -> None:
    driver(nvmlInit=Refusal(code))
    with pytest.raises(Inconclusive, match="the NVIDIA driver does not answer: "):
        nvml.read()
    with pytest.raises(Inconclusive, match="the driver does not answer for GPU 0: "):
        nvml.ask(0, "uuid")


def test_a_half_updated_driver_is_neither_loaded_nor_absent(driver: Callable[..., None]) -> None:
    driver(nvmlInit=Refusal(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))
    reading = nvml.read()
    assert (reading.absence, reading.gpus) == (None, ())
    assert reading.mismatch == str(pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH))
    for question in (nvml.require_consistent, nvml.require_loaded):
        with pytest.raises(Inconclusive, match=r"only half updated: .*version mismatch") as raised:
            question()
        assert raised.value.remedy == ("See DRIVER-AGREES first.",)


def test_a_gb10_is_read_without_the_figures_that_it_does_not_have(driver: Callable[..., None]) -> None:
    driver()
    reading = nvml.read()
    assert reading.gpus == (GB10.model_copy(update={"vbios": "9A.0B.25.00.00"}),)
    assert (reading.source, reading.cuda, reading.branch) == ("NVML, driver 580.126.09", "13.0", 580)


def test_a_gpu_that_the_driver_does_not_list_is_inconclusive(driver: Callable[..., None]) -> None:
    driver()
    with pytest.raises(Inconclusive, match="lists no GPU 1"):
        nvml.gpu(1)


def test_the_newest_cuda_that_a_driver_supports_is_a_number(driver: Callable[..., None]) -> None:
    driver(nvmlSystemGetCudaDriverVersion_v2=12080)
    reading = nvml.read()
    assert (reading.cuda, reading.cuda_major) == ("12.8", 12)
    with pytest.raises(Inconclusive, match="the driver reports no CUDA version that it supports: None"):
        _ = nvml.Driver("580.95.05", None, ()).cuda_major


@pytest.mark.parametrize(("total", "gib"), [(0, None), (150754820096, 140.4015)])
def test_a_memory_of_zero_is_no_figure(driver: Callable[..., None], total: int, gib: float | None) -> None:
    driver(nvmlDeviceGetMemoryInfo=SimpleNamespace(total=total))
    assert nvml.gpu(0).memory_gib == (gib and pytest.approx(gib))


def test_a_gpu_whose_memory_errs_is_still_listed(driver: Callable[..., None]) -> None:
    """DEVICE-MEMORY judges the memory; GPU-PRESENT must not fail because of it."""
    driver(nvmlDeviceGetMemoryInfo=Refusal(pynvml.NVML_ERROR_UNKNOWN))
    assert [(gpu.product, gpu.memory_gib) for gpu in nvml.read().gpus] == [("NVIDIA GB10", None)]
    with pytest.raises(Inconclusive, match="does not report memory total of GPU 0: Unknown Error"):
        device_memory.read(Device("cuda", 0, "GB10", memory=MemoryKind.UNIFIED))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nvmlDeviceGetUUID", "the driver does not report uuid of GPU 0: Unknown Error"),
        ("nvmlDeviceGetVbiosVersion", "the driver does not report vbios of GPU 0: Unknown Error"),
        ("nvmlSystemGetDriverVersion", "the NVIDIA driver does not answer: Unknown Error"),
        ("nvmlDeviceGetCount", "the NVIDIA driver does not answer: Unknown Error"),
    ],
)
def test_an_error_of_a_later_call_is_inconclusive(driver: Callable[..., None], function: str, message: str) -> None:
    driver(**{function: Refusal(pynvml.NVML_ERROR_UNKNOWN)})
    with pytest.raises(Inconclusive, match=message):
        nvml.read()


@pytest.mark.parametrize("lost", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
def test_one_lost_gpu_does_not_hide_the_others(driver: Callable[..., None], lost: str) -> None:
    def answer(gpu: object) -> object:
        index = gpu if isinstance(gpu, int) else gpu.index
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return f"GPU-{index}"

    fakes: dict[str, object] = {
        "nvmlDeviceGetCount": 3,
        "nvmlDeviceGetHandleByIndex": lambda index: SimpleNamespace(index=index),
        lost: answer,
    }
    driver(**fakes)
    reading = nvml.read()
    assert ([gpu.index for gpu in reading.gpus], reading.lost) == ([0, 2], (1,))


def test_all_fields_of_a_gpu_are_one_question_and_each_refusal_is_kept(
    driver: Callable[..., None], questions: list[tuple[str, ...]]
) -> None:
    driver(nvmlDeviceGetPersistenceMode=1, nvmlDeviceGetMigMode=Refusal(pynvml.NVML_ERROR_NOT_SUPPORTED))
    answers = nvml.ask(0, "persistence", "mig", "serial")
    assert questions == [("gpu", "0", "persistence", "mig", "serial")]
    assert answers["persistence"] is True
    assert answers.if_supported("mig") is None
    with pytest.raises(Inconclusive, match="does not report mig of GPU 0: Not Supported"):
        _ = answers["mig"]
    with pytest.raises(Inconclusive, match="does not report serial of GPU 0: Insufficient Permissions"):
        answers.if_supported("serial")
    with pytest.raises(Inconclusive, match="does not report power w of GPU 0: no answer"):
        _ = answers["power_w"]


def test_the_driver_of_this_machine_answers_or_is_absent() -> None:
    """With the real library, through a process of its own, with or without a GPU."""
    reading = nvml.read()
    assert bool(reading.version) != bool(reading.absence or reading.mismatch)


@pytest.mark.parametrize("code", [8, 11, 15, 16, 999])
def test_a_gpu_that_cannot_be_opened_hides_no_other_and_has_its_remedy(driver: Callable[..., None], code: int) -> None:
    """A node of eight with seven GPUs in `GPU requires reset` still has one that works."""

    def handle(index: int) -> str:
        if index:
            raise pynvml.NVMLError(code)
        return "handle"

    driver(nvmlDeviceGetCount=2, nvmlDeviceGetHandleByIndex=handle)
    reading = nvml.read()
    assert ([gpu.index for gpu in reading.gpus], reading.lost) == ([0], (1,))
    assert reading.source.endswith(f": GPU 1: {pynvml.NVMLError(code)}")
    assert reading.remedy == (() if code == 15 else nvml_errors.find(code).remedy_for(1))


def test_a_gpu_that_this_user_may_not_open_is_inconclusive(driver: Callable[..., None]) -> None:
    driver(nvmlDeviceGetHandleByIndex=Refusal(pynvml.NVML_ERROR_NO_PERMISSION))
    with pytest.raises(Inconclusive, match="Insufficient Permissions"):
        nvml.read()
