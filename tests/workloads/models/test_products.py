"""Every way to multiply gives the same products, and 32 bits go past MKL where torch would take it."""

import pytest
import torch

from dgxcert.machine.device import Device
from dgxcert.workloads.models import products

CPU = Device("cpu", 0, "a processor", unified_memory=True, margin_gib=1.0)


@pytest.mark.parametrize("rows", [(1, 1), (1, 7), (4, 1), (2, 33)])
def test_onednn_computes_what_torch_computes(rows: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values, weights = torch.randn(*rows, 96), torch.randn(64, 96)
    found = products.by_onednn(values, (weights,))
    assert found.shape == (*rows, 64)
    torch.testing.assert_close(found, values.double() @ weights.double().T, check_dtype=False, rtol=1e-5, atol=1e-4)


def test_a_view_of_a_joined_matrix_multiplies_as_one() -> None:
    torch.manual_seed(0)
    whole, values = torch.randn(128, 32), torch.randn(1, 1, 32)
    part = whole.split([96, 32])[1]
    torch.testing.assert_close(products.by_onednn(values, (part,)), values @ part.T, rtol=1e-5, atol=1e-5)


def test_only_32_bits_on_a_processor_go_that_way() -> None:
    gpu = Device("cuda", 0, "a GPU", unified_memory=True, margin_gib=1.0)
    assert (products.dense(CPU, torch.float32) is products.by_onednn) == torch.backends.mkl.is_available()
    assert products.dense(CPU, torch.bfloat16) is products.linear
    assert products.dense(gpu, torch.float32) is products.linear
