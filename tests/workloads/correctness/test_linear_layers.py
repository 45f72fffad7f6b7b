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


def test_layers_have_the_inner_sizes_of_real_layers() -> None:
    inner = [inner for _, inner, _ in linear_layers.LAYERS]
    assert (min(inner), max(inner)) == (1024, 14336)
    assert any(size % 2 for layer in linear_layers.LAYERS for size in layer[1:])


def test_the_error_of_a_layer_is_that_of_its_worst_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_layers, "LAYERS", ((33, 128, 65),))
    original = torch.nn.functional.linear

    def one_wrong_row(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        output = original(rows, weights)
        output[-1] *= 1.5
        return output

    monkeypatch.setattr(torch.nn.functional, "linear", one_wrong_row)
    assert linear_layers.layer_errors(CPU, "fp32") == {"33x128x65": pytest.approx(0.5, rel=1e-4)}
