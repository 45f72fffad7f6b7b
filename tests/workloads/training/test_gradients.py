"""A gradient is usable where it is present, finite and not all zeros, and right where it agrees with the exact one."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.training import gradients
from dgxcert.workloads.training.gradients import Agreement, is_usable


@pytest.mark.parametrize(
    ("gradient", "usable"),
    [(None, False), (torch.zeros(3), False), (torch.tensor([1.0, float("nan")]), False), (torch.ones(2), True)],
)
def test_a_usable_gradient_is_present_finite_and_not_zero(gradient: Any, usable: bool) -> None:
    assert is_usable(gradient) == usable


@pytest.fixture
def exact() -> dict[str, Any]:
    """Gradients of two layers: B of four heads of 64 rows, A of 16."""
    generator = torch.Generator().manual_seed(3)
    sizes = {"lora_A": (16, 96), "lora_B": (256, 16)}
    return {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.{side}.default.weight": torch.randn(
            size, generator=generator
        )
        for layer in range(2)
        for side, size in sizes.items()
    }


B1 = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.default.weight"


def test_equal_gradients_agree(exact: dict[str, Any]) -> None:
    agreement = gradients.compare(exact, exact)
    assert (agreement.angle_deg, agreement.size, agreement.tensors) == (0, 1, 4)


def test_a_small_angle_is_measured_and_not_rounded_away(exact: dict[str, Any]) -> None:
    turned = {name: values.double() + 1e-7 * torch.roll(values, 1, 0) for name, values in exact.items()}
    assert 1e-6 < gradients.compare(turned, exact).angle_deg < 1e-5


@pytest.mark.parametrize(
    ("change", "angle_deg", "size"),
    [
        (lambda block: -block, 180, 1),
        (lambda block: 0 * block, 90, 1e-5),
        (lambda block: block / 2, 0, 0.5),
        (lambda block: block * 2, 0, 2),
        (lambda block: block / 1000, 0, 1e-3),
    ],
)
def test_one_head_of_one_matrix_is_found_by_name(
    exact: dict[str, Any], change: Callable[[Any], Any], angle_deg: float, size: float
) -> None:
    wrong = exact[B1].clone()
    wrong[128:192] = change(wrong[128:192])
    agreement = gradients.compare({**exact, B1: wrong}, exact)
    assert agreement.angle_deg == pytest.approx(angle_deg, abs=1e-4)
    assert agreement.size == pytest.approx(size, rel=0.1)
    worst = agreement.angle_at if angle_deg else agreement.size_at
    assert worst == "layers.1.self_attn.q_proj.lora_B rows 128-191"


def test_a_missing_gradient_counts_as_zeros(exact: dict[str, Any]) -> None:
    missing = {name: values for name, values in exact.items() if name != B1}
    agreement = gradients.compare(missing, exact)
    assert (agreement.angle_deg, "layers.1" in agreement.angle_at) == (pytest.approx(90), True)
    assert agreement.size < 1e-4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_wrong(exact: dict[str, Any], value: float) -> None:
    wrong = exact[B1].clone()
    wrong[200, 3] = value
    with pytest.raises(Wrong, match=r"layers\.1\.self_attn\.q_proj\.lora_B is not finite"):
        gradients.compare({**exact, B1: wrong}, exact)


def test_what_cannot_be_compared_is_inconclusive(exact: dict[str, Any]) -> None:
    zeros = {name: torch.zeros_like(values) for name, values in exact.items()}
    with pytest.raises(Inconclusive, match="all exact gradients are zero"):
        gradients.compare(exact, zeros)
    with pytest.raises(Inconclusive, match="all exact gradients are zero"):
        gradients.compare({}, {})
    with pytest.raises(Inconclusive, match="an exact gradient is not finite"):
        gradients.compare(exact, {**exact, B1: torch.full_like(exact[B1], float("nan"))})
    with pytest.raises(Inconclusive, match="no exact one"):
        gradients.compare({**exact, "lora_C": exact[B1]}, exact)


def test_a_gradient_that_is_zero_by_arithmetic_has_no_direction_and_must_stay_negligible(
    exact: dict[str, Any],
) -> None:
    rounding = 1e-9 * torch.randn(64)
    assert gradients.compare({**exact, "k.bias": -rounding}, {**exact, "k.bias": rounding}).angle_deg == 0
    assert gradients.compare({**exact, "k.bias": rounding}, {**exact, "k.bias": 0 * rounding}).size < 1.001
    agreement = gradients.compare({**exact, "k.bias": torch.ones(64)}, {**exact, "k.bias": rounding})
    assert agreement.size_at == "k.bias"
    assert agreement.size > 1e4


def test_a_short_bias_is_compared_as_a_column_of_its_weights(exact: dict[str, Any]) -> None:
    weight, bias = torch.randn(2, 64), torch.tensor([1e-3, -1e-3])
    head = {"classifier.weight": weight, "classifier.bias": bias}
    assert gradients.compare({**exact, **head, "classifier.bias": -bias}, {**exact, **head}).angle_deg < 1
    assert gradients.compare({**exact, **head, "classifier.bias": 1e3 * bias}, {**exact, **head}).angle_deg > 3


def test_the_worst_of_two_comparisons_is_taken_by_direction_and_by_size() -> None:
    first, second = Agreement(0.1, "a", 0.5, "b", 4), Agreement(0.2, "c", 1.5, "d", 3)
    assert first.worst(second) == second.worst(first) == Agreement(0.2, "c", 0.5, "b", 3)
