"""The smallest kernels are right on a CPU."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import matrix_products

CPU = Device("cpu", 0, "CPU")


def test_the_smallest_kernels_are_right_on_a_cpu() -> None:
    assert matrix_products.product_error(CPU, "fp32") < 1e-5
    assert matrix_products.product_error(CPU, "bf16") < 2.5e-3
    assert matrix_products.softmax_error(CPU) < 1e-5
