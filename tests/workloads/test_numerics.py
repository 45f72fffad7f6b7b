"""Errors and differing values are counted exactly, and tolerances tell one precision from another."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics


def test_tf32_is_on_for_its_own_matmul_only() -> None:
    flags = torch.backends.cuda.matmul
    before = flags.allow_tf32
    with numerics.exact_matmul(tf32=True):
        assert flags.allow_tf32
    with numerics.exact_matmul():
        assert not flags.allow_tf32
    assert flags.allow_tf32 == before


def test_bf16_matmul_does_not_pass_as_tf32_nor_tf32_as_fp32() -> None:
    left, right = (torch.randn(64, 2048, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    exact = left.double() @ right.double().T
    rounded = left.bfloat16().double() @ right.bfloat16().double().T
    cut = [(matrix.view(torch.int32) & ~0x1FFF).view(torch.float32).double() for matrix in (left, right)]
    assert numerics.relative_error(rounded, exact) > numerics.MATMUL_ERROR["tf32"][0]
    error = numerics.relative_error(cut[0] @ cut[1].T, exact)
    assert numerics.MATMUL_ERROR["fp32"][0] < error < numerics.MATMUL_ERROR["tf32"][0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int32])
def test_a_value_that_differs_in_any_bit_is_counted(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "COMPARED_AT_A_TIME", 10)
    expected = torch.arange(25).to(dtype).reshape(5, 5)
    actual = expected.clone()
    assert int(numerics.differing(actual, expected)) == 0
    actual.view(torch.uint8).view(-1)[-1] ^= 128
    actual.view(torch.uint8).view(-1)[0] ^= 1
    assert int(numerics.differing(actual, expected)) == 2
    if dtype.is_floating_point:
        zeros = torch.zeros(3, dtype=dtype)
        assert int(numerics.differing(-zeros, zeros)) == 3, "a sign is a bit too"


@pytest.mark.parametrize("exact", [0.0, float("nan"), float("inf")])
def test_an_exact_result_of_zero_or_not_finite_leaves_the_error_undefined(exact: float) -> None:
    with pytest.raises(Inconclusive, match="its error is undefined"):
        numerics.relative_error(torch.ones(4), torch.full((4,), exact))
