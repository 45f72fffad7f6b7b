"""CUDA libraries: bitsandbytes must be for torch's CUDA, and the driver for that or a newer one."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.gpu import nvml
from dgxcert.probes.stack import cuda_libraries
from dgxcert.probes.stack.cuda_libraries import Libraries

CHECK = check_file.load("stack/test_cuda_libraries").test_torch_bitsandbytes_and_the_driver_are_for_one_cuda


@dataclasses.dataclass(frozen=True)
class Driver:
    cuda_major: int
    source: str = "CUDA 13.0"


@pytest.mark.parametrize(
    ("library", "driver", "fault"),
    [
        ("libbitsandbytes_cuda130.so", 13, None),
        ("libbitsandbytes_cuda130.so", 14, None),
        ("libbitsandbytes_cuda128.so", 13, "CUDA of bitsandbytes"),
        ("libbitsandbytes_cpu.so", 13, "CUDA of bitsandbytes"),
        ("libbitsandbytes_cuda130.so", 12, "CUDA of the driver"),
    ],
)
def test_torch_bitsandbytes_and_driver_must_be_for_one_cuda(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], library: str, driver: int, fault: str | None
) -> None:
    monkeypatch.setattr(cuda_libraries, "read", lambda: Libraries("13.0", library, ""))
    monkeypatch.setattr(nvml, "require_loaded", lambda: Driver(driver))
    judge(CHECK, fault)
