"""Matmul, linear layers and softmax are right on a CPU, and a wrong row or edge is not averaged away."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import linear_layers

CPU = Device("cpu", 0, "CPU")


def test_the_smallest_kernels_are_right_on_a_cpu() -> None:
    assert linear_layers.matmul_error(CPU, "fp32") < 1e-5
    assert linear_layers.matmul_error(CPU, "bf16") < 2.5e-3
    assert linear_layers.softmax_error(CPU) < 1e-5
