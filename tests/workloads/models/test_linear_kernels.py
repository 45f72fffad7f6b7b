"""Every kernel computes the same linear layer, and fp32 on a CPU is computed by oneDNN where torch would call MKL."""

import pytest
import torch

from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.workloads.models import linear_kernels

CPU = Device("cpu", 0, "CPU", memory=MemoryKind.UNIFIED, margin_gib=1.0)


@pytest.mark.parametrize("rows", [(1, 1), (1, 7), (4, 1), (2, 33)])
def test_onednn_computes_what_torch_computes(rows: tuple[int, int]) -> None:
    torch.manual_seed(0)
    inputs, weights = torch.randn(*rows, 96), torch.randn(64, 96)
    outputs = linear_kernels.onednn_linear(inputs, (weights,))
    assert outputs.shape == (*rows, 64)
    torch.testing.assert_close(outputs, inputs.double() @ weights.double().T, check_dtype=False, rtol=1e-5, atol=1e-4)


def test_a_view_of_a_joined_matrix_is_multiplied_like_a_matrix() -> None:
    torch.manual_seed(0)
    joined, inputs = torch.randn(128, 32), torch.randn(1, 1, 32)
    part = joined.split([96, 32])[1]
    torch.testing.assert_close(linear_kernels.onednn_linear(inputs, (part,)), inputs @ part.T, rtol=1e-5, atol=1e-5)


def test_only_fp32_on_a_cpu_is_computed_by_onednn() -> None:
    gpu = Device("cuda", 0, "a GPU", memory=MemoryKind.UNIFIED, margin_gib=1.0)
    assert (
        linear_kernels.dense(CPU, torch.float32) is linear_kernels.onednn_linear
    ) == torch.backends.mkl.is_available()
    assert linear_kernels.dense(CPU, torch.bfloat16) is linear_kernels.torch_linear
    assert linear_kernels.dense(gpu, torch.float32) is linear_kernels.torch_linear
