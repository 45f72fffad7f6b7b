"""Attention: by hand equal to torch's, cases that reveal real faults, and refusals told from errors."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites import wrong_attention

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.correctness import attention
from dgxcert.workloads.correctness.attention import Case

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns why it refuses a kernel

CPU = Device("cpu", 0, "CPU")


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_hand_equals_torchs_in_fp64(causal: bool) -> None:
    query, key, value = (torch.randn(2, heads, 9, 16, dtype=torch.float64) for heads in (4, 2, 2))
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal, enable_gqa=True)
    torch.testing.assert_close(attention.by_hand(query, key, value, causal), expected)


def test_cases_have_few_and_many_key_heads() -> None:
    for kind in ("cuda", "cpu"):
        cases = attention.cases(kind)
        for kv_heads in (8, 4, 2, 1):
            for dim in (64, 128):
                for causal in (False, True):
                    same = [c for c in cases if (c.kv_heads, c.head_dim, c.causal) == (kv_heads, dim, causal)]
                    assert {case.precision for case in same} == set(attention.PRECISIONS[kind])
                    assert {case.negative for case in same} == {False, True}


@pytest.mark.parametrize("dim", [64, 128])
def test_negative_scores_are_where_their_exponentials_vanish(dim: int) -> None:
    query, key, _value = (tensor.double() for tensor in attention._inputs(Case("bf16", 1, dim, 193, 193, False, True)))
    scores = query @ key.transpose(-1, -2) / dim**0.5
    assert scores.max() < -87


def test_the_key_beyond_the_end_shows_only_where_scores_are_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", wrong_attention.key_beyond_the_end)
    )
    assert attention.compare(CPU, [case for case in wrong_attention.CASES if not case.negative]).share < 1
    assert attention.compare(CPU, [case for case in wrong_attention.CASES if case.negative]).share > 10


def test_values_that_are_not_numbers_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", lambda query, *_: query * torch.nan)
    )
    with pytest.raises(Wrong, match=r"FLASH_ATTENTION, fp32 .* not finite"):
        attention.compare(CPU, wrong_attention.CASES[:1])


def test_without_plain_attention_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "attend", lambda *_: None)
    with pytest.raises(Inconclusive, match="refuses plain attention"):
        attention.compare(CPU, wrong_attention.CASES[:1])


@pytest.mark.parametrize(
    ("message", "offered"),
    [
        ("No available kernel. Aborting execution.", False),
        ("No viable backend for scaled_dot_product_attention was found", False),
        ("cuDNN Frontend error: No execution plans support the graph.", True),
        ("CUDA error: no kernel image is available for execution on the device", True),
    ],
)
def test_only_torchs_own_refusal_means_that_a_kernel_is_not_offered(
    monkeypatch: pytest.MonkeyPatch, message: str, offered: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    expected = "supports .* but ends with" if offered else "refuses plain attention"
    with pytest.raises(Inconclusive, match=expected):
        attention.compare(CPU, wrong_attention.CASES[:1])


def test_a_kernel_that_refuses_grouped_heads_is_given_repeated_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.functional.scaled_dot_product_attention

    def refuse_groups(query: Any, key: Any, value: Any, *, is_causal: bool, enable_gqa: bool) -> Any:
        if enable_gqa:
            raise RuntimeError("No available kernel. Aborting execution.")
        assert query.shape[1] == key.shape[1] == value.shape[1]
        return right(query, key, value, is_causal=is_causal)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse_groups)
    comparison = attention.compare(CPU, wrong_attention.CASES)
    assert comparison.shapes == {"MATH": 8, "FLASH_ATTENTION": 8}
    assert comparison.share < 1
