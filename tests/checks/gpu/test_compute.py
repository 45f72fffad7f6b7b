"""The compute checks pass where results are correct, and each of their comparisons fails alone."""

import check_file
import pytest
from suites.judged import judge

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import linear_layers

CHECKS = check_file.load("gpu/test_compute")
CPU = Device("cpu", 0, "CPU")
FP32, BF16 = (numerics.matmul_tolerance(precision).max for precision in ("fp32", "bf16"))


@pytest.mark.parametrize(
    ("matmul", "softmax", "fault"),
    [
        (FP32, FP32, None),
        (2 * FP32, 0.0, "matrix product error"),
        (0.0, 2 * FP32, "softmax error"),
    ],
)
def test_each_wrong_result_of_the_device_fails(
    monkeypatch: pytest.MonkeyPatch, matmul: float, softmax: float, fault: str | None
) -> None:
    monkeypatch.setattr(linear_layers, "matmul_error", lambda device, precision: matmul)
    monkeypatch.setattr(linear_layers, "softmax_error", lambda device: softmax)
    judge(CHECKS.test_the_device_computes_the_right_answer, CPU, fault=fault)


@pytest.mark.parametrize(
    ("supported", "error", "fault"),
    [
        (True, BF16, None),
        (False, 0.0, "bf16 supported"),
        (True, 2 * BF16, "bf16 product error"),
    ],
)
def test_bf16_must_be_supported_and_right(
    monkeypatch: pytest.MonkeyPatch, supported: bool, error: float, fault: str | None
) -> None:
    monkeypatch.setattr(linear_layers, "supports_bf16", lambda device: supported)
    monkeypatch.setattr(linear_layers, "matmul_error", lambda device, precision: error)
    judge(CHECKS.test_bf16_is_supported_and_right, CPU, fault=fault)


def test_the_cpu_of_this_machine_computes_right() -> None:
    pytest.importorskip("torch", reason="the workloads need torch: make setup")
    judge(CHECKS.test_the_device_computes_the_right_answer, CPU, fault=None)
    judge(CHECKS.test_bf16_is_supported_and_right, CPU, fault=None)
