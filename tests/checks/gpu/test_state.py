"""Checks of a GPU pass on a whole one, and each of their comparisons fails alone, whatever the others find."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import check_file
import pytest
from suites import example

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda, device_memory, health, nvml, processes
from dgxcert.probes.gpu.cuda import Cuda
from dgxcert.probes.gpu.device_memory import DeviceMemory, Free
from dgxcert.probes.gpu.health import EccErrors, RemappedRows
from dgxcert.probes.gpu.nvml import Driver
from dgxcert.probes.gpu.samples import Samples
from dgxcert.probes.host import boot, kernel_log, kernel_module
from dgxcert.probes.host.kernel_log import Event, KernelLog
from dgxcert.probes.host.kernel_module import KernelModule
from dgxcert.probes.host.xid import Kind
from dgxcert.profiles import profile as profiles
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import matrix_products
from dgxcert.workloads.hardware import sustained
from dgxcert.workloads.hardware.sustained import Load
from dgxcert.workloads.models import nf4

SPARK, H200 = profiles.load("dgx-spark"), profiles.load("h200")
GPU = Device("cuda", 0, "NVIDIA H200")
CPU = Device("cpu", 0, "CPU")
FP32, BF16, INT4 = (numerics.product_tolerance(precision).max for precision in ("fp32", "bf16", "nf4"))


def check(name: str) -> ModuleType:
    return check_file.load(name)


AVAILABLE, COMPUTE, LOAD, MEMORY = (check(f"gpu/test_{name}") for name in ("available", "compute", "load", "memory"))
AFTERMATH, NUMERICS = check("gpu/test_aftermath"), check("gpu/test_numerics")
DRIVER, PROCESSES = check("host/test_driver"), check("host/test_processes")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def judge(test: Callable[..., None], *fixtures: Any, evidence: Recorder, fault: str | None) -> None:
    """Run a check; with a fault it must fail, and this must be the first of its quantities that does not hold."""
    if fault is None:
        test(*fixtures, evidence)
        assert evidence.compared
        assert not evidence.violated
        return
    with pytest.raises(AssertionError):
        test(*fixtures, evidence)
    assert evidence.violated[0][0].name == fault


def driver(count: int, capability: str = "9.0") -> Driver:
    gpus = [Gpu(index=i, product="NVIDIA H200", uuid=f"GPU-{i}", compute_capability=capability) for i in range(count)]
    return Driver("580.95.05", "13.0", tuple(gpus))


@pytest.mark.parametrize(
    ("available", "of_torch", "of_driver", "profile", "fault"),
    [
        (True, 1, 1, SPARK, None),
        (True, 8, 8, H200, None),
        (False, 1, 1, SPARK, "torch.cuda.is_available()"),
        (True, 7, 8, H200, "GPUs of torch"),
        (True, 2, 2, SPARK, "GPUs of torch"),
        (True, 0, 0, H200, "GPUs of torch"),
    ],
)
def test_torch_must_work_see_every_gpu_and_as_many_as_were_bought(
    monkeypatch: pytest.MonkeyPatch,
    evidence: Recorder,
    available: bool,
    of_torch: int,
    of_driver: int,
    profile: profiles.Profile,
    fault: str | None,
) -> None:
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available, of_torch, "torch"))
    monkeypatch.setattr(nvml, "read", lambda: driver(of_driver))
    judge(AVAILABLE.test_torch_sees_every_gpu_of_the_driver, profile, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("module", "mismatch", "fault"),
    [
        ("580.95.05", None, None),
        ("580.95.05", "Driver/library version mismatch", "library fits the module"),
        ("580.126.09", None, "version of the library"),
    ],
)
def test_a_driver_of_two_versions_fails_whoever_notices(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, module: str, mismatch: str | None, fault: str | None
) -> None:
    monkeypatch.setattr(kernel_module, "read", lambda: KernelModule(module, is_open=True))
    monkeypatch.setattr(nvml, "read", lambda: replace(driver(1), mismatch=mismatch))
    test = DRIVER.test_the_drivers_library_and_kernel_module_are_of_one_version
    judge(test, evidence=evidence, fault=fault)


@pytest.mark.parametrize(("idle", "fault"), [(8, None), (7, "GPUs on which nobody computes")])
def test_every_gpu_must_be_idle(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, idle: int, fault: str | None
) -> None:
    machine = example.MACHINE.model_copy(update={"gpus": driver(8).gpus})
    monkeypatch.setattr(processes, "read", lambda machine: idle)
    judge(PROCESSES.test_nobody_else_computes_on_the_gpus, machine, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("capability", "fault"),
    [("9.0", None), ("8.9", "compute capability of NVIDIA H200"), ("10.0", "compute capability of NVIDIA H200")],
)
def test_a_gpu_of_another_generation_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, capability: str, fault: str | None
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver(1, capability))
    test = AVAILABLE.test_compute_capability_is_what_the_profile_expects
    judge(test, GPU, H200, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("product", "softmax", "fault"),
    [
        (FP32, FP32, None),
        (2 * FP32, 0.0, "matrix product error"),
        (0.0, 2 * FP32, "softmax error"),
    ],
)
def test_each_wrong_answer_of_the_device_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, product: float, softmax: float, fault: str | None
) -> None:
    monkeypatch.setattr(matrix_products, "product_error", lambda device, precision: product)
    monkeypatch.setattr(matrix_products, "softmax_error", lambda device: softmax)
    judge(COMPUTE.test_the_device_computes_the_right_answer, CPU, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("supported", "error", "fault"),
    [
        (True, BF16, None),
        (False, 0.0, "bf16 supported"),
        (True, 2 * BF16, "bf16 product error"),
    ],
)
def test_bf16_must_be_there_and_right(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, supported: bool, error: float, fault: str | None
) -> None:
    monkeypatch.setattr(matrix_products, "supports_bf16", lambda device: supported)
    monkeypatch.setattr(matrix_products, "product_error", lambda device, precision: error)
    judge(COMPUTE.test_bf16_is_supported_and_right, CPU, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("gib", "fault"), [(140.4, None), (137.9, "memory of NVIDIA H200"), (142.1, "memory of NVIDIA H200")]
)
def test_memory_that_is_missing_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, gib: float, fault: str | None
) -> None:
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(gib, "NVML"))
    test = MEMORY.test_the_device_has_the_memory_that_the_profile_expects
    judge(test, GPU, H200, evidence=evidence, fault=fault)


@pytest.mark.parametrize(("free", "fault"), [(139.3, None), (70.0, "free by CUDA")])
def test_memory_that_cuda_does_not_call_free_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, free: float, fault: str | None
) -> None:
    monkeypatch.setattr(device_memory, "free", lambda gpu: Free(free, 140.4, "NVML"))
    judge(MEMORY.test_cuda_offers_the_memory_that_is_there, GPU, H200, evidence=evidence, fault=fault)


@pytest.mark.parametrize(
    ("product", "least", "most", "block", "fault"),
    [
        (INT4, nf4.QUANTISATION.min, nf4.QUANTISATION.max, nf4.BLOCK_QUANTISATION.max, None),
        (2 * INT4, 0.092, 0.092, 0.13, "NF4 product error"),
        (0.0, 0.089, 0.092, 0.13, "least NF4 quantisation error"),
        (0.0, 0.092, 0.095, 0.13, "largest NF4 quantisation error"),
        (0.0, 0.092, 0.092, 0.21, "NF4 quantisation error of a block"),
    ],
)
def test_each_error_of_four_bit_layers_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    evidence: Recorder,
    product: float,
    least: float,
    most: float,
    block: float,
    fault: str | None,
) -> None:
    monkeypatch.setattr(nf4, "worst_blocks", lambda layers: {"a": block, "b": 0.1})
    monkeypatch.setattr(nf4, "samples", lambda device: [])
    monkeypatch.setattr(nf4, "product_errors", lambda device, layers: {"a": product, "b": 0.0})
    monkeypatch.setattr(nf4, "quantisation_errors", lambda layers: {"a": least, "b": most})
    judge(NUMERICS.test_four_bit_layers_are_right, CPU, evidence=evidence, fault=fault)


SINCE = SimpleNamespace(boot_id=boot.read())
"""A machine whose run was begun since it was started."""


@pytest.mark.parametrize("began", ["0b1c", None], ids=["another", "unknown"])
def test_what_was_left_behind_before_a_restart_cannot_be_seen_and_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, began: str | None
) -> None:
    before = SimpleNamespace(boot_id=began)
    monkeypatch.setattr(kernel_log, "read", log)
    with pytest.raises(Inconclusive, match="before the machine was started again"):
        AFTERMATH.test_the_work_has_left_no_fault_in_the_kernel_log(before, H200, evidence)
    monkeypatch.setattr(health, "ecc_errors", lambda index: EccErrors(True, 0, 0, 0, source="NVML"))
    monkeypatch.setattr(health, "remapped_rows", lambda index: RemappedRows(0, 0, False, False, source="NVML"))
    with pytest.raises(Inconclusive, match="before the machine was started again"):
        AFTERMATH.test_the_work_has_left_no_error_in_the_gpus_memory(GPU, before, H200, evidence)


def log(*kinds: Kind, whole: bool = True) -> KernelLog:
    """A kernel log with an event of each of these kinds, beside one of a user's program."""
    events = [Event("an event", "", "a line", kind) for kind in (Kind.APPLICATION, *kinds)]
    return KernelLog("dmesg", whole, None, tuple(events), benign=0)


@pytest.mark.parametrize(("found", "fault"), [(log(), None), (log(Kind.FAULT), "faults in the kernel log")])
def test_a_fault_that_came_with_the_work_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, found: KernelLog, fault: str | None
) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: found)
    judge(AFTERMATH.test_the_work_has_left_no_fault_in_the_kernel_log, SINCE, H200, evidence=evidence, fault=fault)


@pytest.mark.parametrize("found", [log(Kind.UNKNOWN), log(whole=False)], ids=["unknown", "cut"])
def test_a_log_that_leaves_open_what_came_with_the_work_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, found: KernelLog
) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: found)
    with pytest.raises(Inconclusive):
        AFTERMATH.test_the_work_has_left_no_fault_in_the_kernel_log(SINCE, H200, evidence)


@pytest.mark.parametrize(
    ("uncorrected", "pending", "fault"),
    [(0, False, None), (1, False, "uncorrected errors"), (0, True, "rows waiting to be replaced")],
)
def test_memory_that_erred_during_the_work_fails(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, uncorrected: int, pending: bool, fault: str | None
) -> None:
    errors, rows = EccErrors(True, uncorrected, 3, 5, source="NVML"), RemappedRows(1, 1, pending, False, source="NVML")
    monkeypatch.setattr(health, "ecc_errors", lambda index: errors)
    monkeypatch.setattr(health, "remapped_rows", lambda index: rows)
    judge(
        AFTERMATH.test_the_work_has_left_no_error_in_the_gpus_memory, GPU, SINCE, H200, evidence=evidence, fault=fault
    )


HEALTHY = {
    "clock": 1740,
    "utilization": 100,
    "temperature": 52,
    "power_w": 627,
    "event_reasons": 0x4,
    "link_width": 16,
    "link_generation": 5,
}
NAMES = {
    "clock": "test_the_gpu_reaches_its_working_clock_under_load",
    "steady": "test_the_clock_does_not_fall_while_the_gpu_works",
    "thermal": "test_the_gpu_stays_cool_under_load",
    "power": "test_nothing_holds_the_gpus_power_back",
    "link": "test_the_link_is_as_wide_and_fast_as_it_should_be",
}


def load(**changed: object) -> Load:
    """Ten seconds of a healthy H200 at work, but for what is changed; at the end of it too where that is a pair."""

    def value(reading: object, second: int) -> object:
        return reading[second > 5] if isinstance(reading, tuple) else reading

    fields = {**HEALTHY, **changed}
    readings = [{"t": float(t), **{name: value(each, t) for name, each in fields.items()}} for t in range(11)]
    possible = Answers(0, {"highest_clock": 1980, "link_width_max": 16, "link_generation_max": 5})
    return Load(Samples(tuple(readings), {}, {}, elapsed_s=10.0, cpu_s=0.1), None, possible)


@pytest.mark.parametrize(
    ("test", "profile", "changed", "fault"),
    [
        *((test, H200, {}, None) for test in NAMES),
        ("clock", H200, {"clock": 1099}, "SM clock under load"),
        ("steady", H200, {"clock": (1740, 1400)}, "clock at the end of the load"),
        ("thermal", H200, {"temperature": 87}, "highest temperature"),
        ("thermal", H200, {"event_reasons": 0x40}, "slowed down for heat"),
        ("power", H200, {"event_reasons": 0x80}, "power brake"),
        ("power", SPARK, {"event_reasons": 0x4}, "power capped"),
        ("power", SPARK, {"event_reasons": 0x0}, None),
        ("link", H200, {"link_width": 8}, "PCIe lanes"),
        ("link", H200, {"link_generation": 4}, "PCIe generation"),
    ],
)
def test_each_trouble_under_load_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    evidence: Recorder,
    test: str,
    profile: profiles.Profile,
    changed: dict[str, object],
    fault: str | None,
) -> None:
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: load(**changed))
    judge(getattr(LOAD, NAMES[test]), GPU, profile, evidence=evidence, fault=fault)


def test_a_gpu_that_was_hardly_busy_says_nothing(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: load(utilization=33))
    with pytest.raises(Inconclusive, match="busy 33 %"):
        LOAD.test_the_gpu_stays_cool_under_load(GPU, H200, evidence)


def test_this_machines_own_processor_computes_right(evidence: Recorder) -> None:
    pytest.importorskip("torch", reason="the workloads need torch: make setup")
    judge(COMPUTE.test_the_device_computes_the_right_answer, CPU, evidence=evidence, fault=None)
    judge(COMPUTE.test_bf16_is_supported_and_right, CPU, evidence=evidence, fault=None)
