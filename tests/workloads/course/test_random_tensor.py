"""Random tensor: the same numbers each time, and a single bit that a copy changes is counted."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.course import random_tensor

CPU = Device("cpu", 0, "CPU")


def test_moments_do_not_depend_on_the_callers_random_numbers() -> None:
    first = random_tensor.draw(CPU)
    torch.randn(5)
    assert random_tensor.draw(CPU) == first
    assert first.changed == 0


def test_one_bit_that_a_copy_changes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.Tensor.cpu

    def flipped(numbers: Any) -> Any:
        copy = original(numbers).clone()
        if copy.dtype == torch.bfloat16:
            copy.view(torch.int16)[77] ^= 1
        return copy

    monkeypatch.setattr(torch.Tensor, "cpu", flipped)
    assert random_tensor.draw(CPU).changed == 1
