"""A gradient is usable where it is present, finite and not all zeros."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.workloads.training.gradients import is_usable


@pytest.mark.parametrize(
    ("gradient", "usable"),
    [(None, False), (torch.zeros(3), False), (torch.tensor([1.0, float("nan")]), False), (torch.ones(2), True)],
)
def test_a_usable_gradient_is_present_finite_and_not_zero(gradient: Any, usable: bool) -> None:
    assert is_usable(gradient) == usable
