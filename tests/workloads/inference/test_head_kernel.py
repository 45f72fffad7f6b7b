"""The head kernel gives torch's logits and torch's argmax, the first of equals, in Triton's interpreter."""

from pathlib import Path

import pytest
from suites import interpreter

pytest.importorskip("torch", reason="the workloads need torch: make setup")


@pytest.fixture(scope="module")
def found() -> dict[str, list[float]]:
    answers: dict[str, list[float]] = interpreter.answers(Path(__file__).with_name("head_kernel_interpreted.py"))
    return answers


def test_logits_and_the_token_are_those_of_torch(found: dict[str, list[float]]) -> None:
    products = {name: values for name, values in found.items() if "torch" in name}
    assert len(products) == 9
    for name, (error, token, argmax) in products.items():
        assert error < (1e-6 if "float32" in name else 4e-3), name
        assert token == argmax, name


def test_of_equal_logits_the_first_is_chosen_also_of_negative_ones_and_no_numbers(
    found: dict[str, list[float]],
) -> None:
    chosen = {name: values for name, values in found.items() if "torch" not in name}
    assert len(chosen) == 7
    for name, (token, first) in chosen.items():
        assert token == first, name
