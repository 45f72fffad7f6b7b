"""Missing memory, and memory that CUDA does not report as free, fails."""

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine import memory_limits
from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import device_memory
from dgxcert.probes.gpu.device_memory import DeviceMemory, Free
from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory
from dgxcert.probes.host.hardware.reserved_memory import Reserved
from dgxcert.profiles import profile as profiles

CHECKS = check_file.load("gpu/test_memory")
H200, SPARK = profiles.load("h200"), profiles.load("dgx-spark")
GB10 = Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED)
GPU = Device("cuda", 0, "NVIDIA H200")


@pytest.mark.parametrize(
    ("gib", "fault"), [(140.4, None), (137.9, "memory of NVIDIA H200"), (142.1, "memory of NVIDIA H200")]
)
def test_memory_of_another_size_fails(monkeypatch: pytest.MonkeyPatch, gib: float, fault: str | None) -> None:
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(gib, "NVML"))
    judge(CHECKS.test_the_device_has_the_memory_that_the_profile_expects, GPU, H200, fault=fault)


@pytest.mark.parametrize(("free", "fault"), [(139.3, None), (70.0, "free by CUDA")])
def test_memory_that_cuda_does_not_report_as_free_fails(
    monkeypatch: pytest.MonkeyPatch, free: float, fault: str | None
) -> None:
    monkeypatch.setattr(device_memory, "free", lambda gpu: Free(free, 140.4, "NVML"))
    judge(CHECKS.test_cuda_offers_the_memory_that_is_there, GPU, H200, fault=fault)


@pytest.mark.parametrize(("gib", "fault"), [(16, None), (15, "memory that this process may use")])
def test_a_limit_that_withholds_memory_from_work_fails(
    monkeypatch: pytest.MonkeyPatch, gib: int, fault: str | None
) -> None:
    limit = memory_limits.MemoryLimit("memory.max of /", "Docker", gib * 2**30, gib * 2**30, ("Raise it.",))
    monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.6, 100.0, 0.0, 0.0))
    monkeypatch.setattr(memory_limits, "read", lambda: (limit,))
    judge(CHECKS.test_no_limit_withholds_memory_from_the_process_that_does_the_work, H200, fault=fault)


@pytest.mark.parametrize(
    ("reserved", "handed"),
    [(Reserved(121.7, 127.6, 15.3), "12 %"), (Reserved(121.7, handover_gib=0.7), "0.7 GiB of Kexec HandOver")],
)
def test_reserved_memory_leaves_its_size_unproven(
    monkeypatch: pytest.MonkeyPatch, reserved: Reserved, handed: str
) -> None:
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(121.7, "MemTotal"))
    monkeypatch.setattr(reserved_memory, "read", lambda: reserved)
    with pytest.raises(Inconclusive, match=handed) as raised:
        CHECKS.test_the_device_has_the_memory_that_the_profile_expects(GB10, SPARK, Recorder())
    assert any("nvidia-spark-grub-kho" in step for step in raised.value.remedy)


def test_more_memory_than_usual_is_no_missing_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(123.6, "MemTotal"))
    evidence = judge(
        CHECKS.test_the_device_has_the_memory_that_the_profile_expects, GB10, SPARK, fault="memory of NVIDIA GB10"
    )
    assert evidence.advice == reserved_memory.MORE
    assert not any("hardware case" in step for step in evidence.advice)


def test_a_spark_without_much_reserved_memory_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(121.7, "MemTotal"))
    monkeypatch.setattr(reserved_memory, "read", lambda: Reserved(121.7, 127.6, 6.1))
    judge(CHECKS.test_the_device_has_the_memory_that_the_profile_expects, GB10, SPARK, fault=None)
