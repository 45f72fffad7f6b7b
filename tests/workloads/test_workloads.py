"""Workloads compute what they claim, and their own verification catches it when they do not."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import matrix_products
from dgxcert.workloads.models import architectures, seeded, text

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and its friends warn about is no finding here

CPU = Device("cpu", 0, "CPU")


def test_the_smallest_kernels_are_right_here() -> None:
    assert matrix_products.product_error(CPU, "fp32") < 1e-5
    assert matrix_products.product_error(CPU, "bf16") < 2.5e-3
    assert matrix_products.softmax_error(CPU) < 1e-5


def test_a_model_is_as_large_as_its_shape_says_and_never_zero() -> None:
    shape = architectures.find("llama-tiny")
    model = seeded.build(CPU, shape, "fp32")
    assert sum(each.numel() for each in model.parameters()) == shape.parameters
    std = float(model.lm_head.weight.std())
    assert std == pytest.approx(0.02, rel=0.02)


def test_rows_are_packed_to_their_length_and_read_back_as_prose() -> None:
    rows = text.rows(48, 8192)
    assert all(len(ids) == 48 for ids in rows["input_ids"])
    assert "A machine that trains language models" in text.tokenizer().decode(rows[0]["input_ids"])
