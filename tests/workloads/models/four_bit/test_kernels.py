"""The four-bit kernels give what their weights stand for, in Triton's interpreter, for one row, few rows and many."""

from pathlib import Path
from typing import Any

import pytest
from suites import interpreter

pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    answers: dict[str, Any] = interpreter.answers(Path(__file__).with_name("interpreted.py"))
    return answers


def test_products_of_whole_numbers_are_right_to_the_last_bit_in_every_division(found: dict[str, Any]) -> None:
    assert len(found["exact"]) == (5 + 3) * 4
    assert {name: differing for name, differing in found["exact"].items() if differing} == {}


def test_any_product_is_as_near_to_the_exact_one_as_its_rounding_allows(found: dict[str, Any]) -> None:
    """1 is the rounding of the result alone; few rows by NF4 multiply levels that are rounded to bf16."""
    assert len(found["errors"]) == 18
    for name, error in found["errors"].items():
        assert error < (1.8 if name.startswith("nf4") and "3 rows" in name else 1.001), name


def test_nf4_weights_are_those_that_bitsandbytes_dequantises_also_with_quantised_scales(found: dict[str, Any]) -> None:
    assert len(found["definitions"]) == 6
    assert set(found["definitions"].values()) == {True}


@pytest.mark.parametrize("precision", ["int4", "nf4"])
def test_a_tuned_path_with_these_kernels_gives_the_models_logits(found: dict[str, Any], precision: str) -> None:
    assert 0 < found["logits"][f"{precision} logits"] < 0.05
    assert 0 < found["logits"][f"{precision} product error"] < 3e-3


def test_inputs_in_another_type_and_no_inputs_are_refused(found: dict[str, Any]) -> None:
    problems = ["wanted rows in bf16, found 2 in torch.float32", "wanted rows in bf16, found 0 in torch.bfloat16"]
    assert found["refusals"] == problems


def test_torch_takes_the_operator_into_one_graph(found: dict[str, Any]) -> None:
    assert found["one graph"] == [0.0, 1]
