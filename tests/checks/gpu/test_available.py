"""A GPU that the driver or torch does not offer fails, and a driver that cannot answer is inconclusive."""

from dataclasses import replace

import check_file
import pytest
from suites import example, nvidia
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda, cuda_devices, nvml, pci
from dgxcert.probes.gpu.cuda import Cuda
from dgxcert.probes.gpu.nvml import Driver
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile

CHECKS = check_file.load("gpu/test_available")
PRESENT = CHECKS.test_as_many_gpus_are_present_as_the_profile_expects
SUPPORTED = CHECKS.test_the_driver_serves_the_cuda_that_torch_was_built_for
DISPLAY = Gpu(index=4, product="NVIDIA DGX Display", uuid="GPU-d", compute_capability="7.5")
SPARK, H200 = profiles.load("dgx-spark"), profiles.load("h200")


@pytest.mark.parametrize(
    ("driver", "on_bus", "fault"),
    [
        (nvidia.driver(8), 8, None),
        (nvidia.driver(7), 8, "GPUs and display adapters"),
        (nvidia.driver(7, lost=(3,)), 7, "GPUs that the driver has lost"),
        (nvidia.driver(0), 0, "GPUs of the driver"),
        (nvidia.driver(1), 1, None),
        (replace(nvidia.driver(4), display_adapters=(DISPLAY,)), 5, None),
        (replace(nvidia.driver(3), display_adapters=(DISPLAY,)), 5, "GPUs and display adapters"),
        (replace(nvidia.driver(0), display_adapters=(DISPLAY,)), 1, "GPUs of the driver"),
    ],
)
def test_every_gpu_on_the_bus_must_answer(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, on_bus: int, fault: str | None
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver)
    monkeypatch.setattr(pci, "read", lambda: on_bus)
    judge(PRESENT, H200, fault=fault)


@pytest.mark.parametrize(("started", "fault"), [(2, None), (3, None), (1, "GPUs on which CUDA starts")])
def test_cuda_must_start_on_every_gpu(monkeypatch: pytest.MonkeyPatch, started: int, fault: str | None) -> None:
    machine = example.MACHINE.model_copy(update={"gpus": nvidia.driver(2).gpus})
    found = cuda_devices.CudaDevices(started, "CUDA error 46", ("Reset it.",))
    monkeypatch.setattr(cuda_devices, "read", lambda machine: found)
    evidence = judge(CHECKS.test_cuda_starts_on_every_gpu_of_the_driver, machine, fault=fault)
    assert evidence.advice == ("Reset it.",)


def test_a_bus_that_cannot_be_read_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(8))
    monkeypatch.setattr(pci, "read", lambda: None)
    with pytest.raises(Inconclusive):
        PRESENT(H200, Recorder())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Inconclusive("the NVIDIA driver did not answer within 10 s"), "did not answer"),
        (Driver(None, None, (), mismatch="Driver/library version mismatch"), "only half updated: Driver/library"),
    ],
    ids=["hangs", "half updated"],
)
def test_a_driver_that_cannot_answer_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, answer: Driver | Inconclusive, message: str
) -> None:
    """A reboot fixes it, and until then the number of GPUs is unknown: that is no missing GPU."""

    def read() -> Driver:
        if isinstance(answer, Inconclusive):
            raise answer
        return answer

    monkeypatch.setattr(nvml, "read", read)
    evidence = Recorder()
    with pytest.raises(Inconclusive, match=message):
        PRESENT(H200, evidence)
    assert not evidence.kept


def test_a_machine_without_a_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: Driver(None, None, (), absence="NVML Shared Library Not Found"))
    monkeypatch.setattr(pci, "read", lambda: 8)
    evidence = judge(PRESENT, H200, fault="GPUs of the driver")
    assert [kept.source for kept in evidence.kept] == ["NVML: NVML Shared Library Not Found"] * 2


@pytest.mark.parametrize(
    ("available", "of_torch", "of_driver", "profile", "fault"),
    [
        (True, 1, 1, SPARK, None),
        (True, 8, 8, H200, None),
        (False, 1, 1, SPARK, "torch.cuda.is_available()"),
        (True, 7, 8, H200, "GPUs of torch"),
        (True, 1, 8, H200, "GPUs of torch"),
        (True, 2, 2, SPARK, "GPUs of torch"),
        (True, 0, 0, H200, "GPUs of torch"),
    ],
)
def test_torch_must_offer_every_gpu_of_the_driver_and_as_many_as_the_profile_expects(
    monkeypatch: pytest.MonkeyPatch,
    available: bool,
    of_torch: int,
    of_driver: int,
    profile: Profile,
    fault: str | None,
) -> None:
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available, of_torch, "torch"))
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(of_driver))
    judge(CHECKS.test_torch_sees_every_gpu_of_the_driver, profile, fault=fault)


@pytest.mark.parametrize(
    ("served", "built", "fault"),
    [("13.0", "13.0", None), ("13.1", "12.8", None), ("13.0", "13.2", None), ("12.8", "13.0", "CUDA of the driver")],
)
def test_the_driver_must_support_the_cuda_of_torch(
    monkeypatch: pytest.MonkeyPatch, served: str, built: str, fault: str | None
) -> None:
    """Within one major version every driver supports every CUDA."""
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1, cuda=served))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch", version=built))
    judge(SUPPORTED, fault=fault)


def test_a_cpu_build_of_torch_or_a_driver_without_a_cuda_version_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=False, count=0, build="torch, built for CUDA none"))
    with pytest.raises(Inconclusive, match="built for CUDA none"):
        SUPPORTED(Recorder())
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch", version="13.0"))
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1, cuda=None))
    with pytest.raises(Inconclusive, match="CUDA"):
        SUPPORTED(Recorder())


@pytest.mark.parametrize(
    ("capability", "fault"),
    [("9.0", None), ("8.9", "compute capability of NVIDIA H200"), ("10.0", "compute capability of NVIDIA H200")],
)
def test_a_gpu_of_another_generation_fails(monkeypatch: pytest.MonkeyPatch, capability: str, fault: str | None) -> None:
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1, capability))
    gpu = Device("cuda", 0, "NVIDIA H200")
    judge(CHECKS.test_compute_capability_is_what_the_profile_expects, gpu, H200, fault=fault)
