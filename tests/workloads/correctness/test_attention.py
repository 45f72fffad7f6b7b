"""Attention: by hand equal to torch's, cases that reveal real faults, and refusals told from errors."""

import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites import wrong_attention

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.correctness import attention
from dgxcert.workloads.correctness.attention import Case

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns why it refuses a kernel

CPU = Device("cpu", 0, "CPU")
LIMITS = {name: profiles.load("cpu").limit(name).max or 0 for name in ("attention.output", "attention.gradients")}


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
                same = [case for case in cases if (case.kv_heads, case.head_dim) == (kv_heads, dim)]
                assert {case.precision for case in same} == set(attention.PRECISIONS[kind])
                assert {case.values for case in same} >= {"normal", "negative"}


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_every_kind_of_training_is_among_the_cases(kind: str) -> None:
    trained = {
        (case.precision, case.heads // case.kv_heads > 1, case.head_dim, case.queries % 64 > 0, case.causal)
        for case in attention.cases(kind)
        if case.trains
    }
    assert trained == set(
        itertools.product(attention.PRECISIONS[kind], (False, True), (64, 128), (False, True), (False, True))
    )


@pytest.mark.parametrize("dim", [64, 128])
def test_negative_scores_are_where_their_exponentials_vanish(dim: int) -> None:
    case = Case("bf16", 32, 1, dim, 193, 193, False, "negative")
    query, key, *_ = (tensor.double() for tensor in attention.make_inputs(case))
    scores = query @ key.transpose(-1, -2) / dim**0.5
    assert scores.max() < -87


def test_the_key_beyond_the_end_shows_only_where_scores_are_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", wrong_attention.key_beyond_the_end)
    )
    cases = [case for case in wrong_attention.CASES if not case.trains]
    assert attention.compare(CPU, [case for case in cases if case.values == "normal"]).output.error < 4
    assert attention.compare(CPU, [case for case in cases if case.values == "negative"]).output.error > 40


def test_values_that_are_not_numbers_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attention, "attend", wrong_attention.swapped("FLASH_ATTENTION", lambda query, *_: query * torch.nan)
    )
    with pytest.raises(Wrong, match=r"FLASH_ATTENTION, fp32 .* not finite"):
        attention.compare(CPU, [case for case in wrong_attention.CASES if not case.trains])


def test_gradients_that_are_not_numbers_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = wrong_attention.attention_with(lambda gradient: gradient * torch.nan, "K")
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken)
    with pytest.raises(Wrong, match=r"MATH, bf16 .* dK in training: .* not finite"):
        attention.compare(CPU, wrong_attention.TRAINED)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("values", ["normal", "negative", "aimed"])
def test_right_kernels_are_far_below_the_limits(precision: str, values: str) -> None:
    shapes = itertools.product((8, 4, 1), (64, 80, 128), ((65, True), (64, False)))
    cases = [Case(precision, 8, kv, dim, tokens, tokens, causal, values) for kv, dim, (tokens, causal) in shapes]
    compared = attention.compare(CPU, cases)
    assert compared.output.error < 0.6 * LIMITS["attention.output"]
    assert compared.gradient.error < 0.6 * LIMITS["attention.gradients"]


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_every_tile_of_a_long_context_decides_a_row(kind: str) -> None:
    """So that no tile of keys can be lost: in a prompt of each head, of decoded tokens of one of them."""
    prompt, decoded = attention.long_cases(*attention.LONG[kind])
    for case, shares in (
        (prompt, weights_of_tiles(prompt).amax(2)),
        (decoded, weights_of_tiles(decoded).amax((0, 1, 2))),
    ):
        assert shares.shape[-1] == -(-case.keys // 16)
        assert shares.min() > 0.1


def weights_of_tiles(case: Case) -> Any:
    """The weight of each tile of 16 keys (batch, heads, queries, tiles), by torch's own softmax in fp32."""
    query, key, *_ = (tensor.float() for tensor in attention.make_inputs(case))
    found = []
    for heads in range(case.heads):
        scores = query[:, heads] @ key[:, heads * case.kv_heads // case.heads].mT / case.head_dim**0.5
        if case.causal:
            scores.masked_fill_(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
        padded = torch.nn.functional.pad(scores.softmax(-1), (0, -case.keys % 16))
        found.append(padded.unflatten(-1, (-1, 16)).sum(-1))
    return torch.stack(found, 1)


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
    assert comparison.forward == {"MATH": 8, "FLASH_ATTENTION": 8}
    assert comparison.backward == {"MATH": 4, "FLASH_ATTENTION": 4}
    assert comparison.output.error < 4
