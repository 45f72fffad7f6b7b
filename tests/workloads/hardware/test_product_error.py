"""The worst part of a product shows one wrong tile at any size, and names where it is."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.outcome import Wrong
from dgxcert.workloads import numerics
from dgxcert.workloads.hardware import product_error

pytestmark = pytest.mark.usefixtures("one_thread")


def product(rows: int, inner: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    left = torch.randn(rows, inner, generator=generator).bfloat16()
    right = torch.randn(inner, columns, generator=generator).bfloat16()
    return left, right, (left.float() @ right.float()).bfloat16()


TOLERANCE = numerics.part_tolerance("bf16").max or 0.0
SIZES = ((128, 300, 128), (257, 64, 513), (1024, 512, 4096))


@pytest.mark.parametrize("sizes", SIZES)
def test_rounding_alone_stays_well_below_the_tolerance(sizes: tuple[int, int, int]) -> None:
    error = product_error.measure(*product(*sizes))
    assert error.overall == pytest.approx(1.66e-3, rel=0.1)
    assert 1.3 * error.worst < TOLERANCE


@pytest.mark.parametrize("sizes", SIZES)
def test_one_tile_of_zeros_is_as_visible_in_a_large_product_as_in_a_small_one(sizes: tuple[int, int, int]) -> None:
    left, right, result = product(*sizes)
    for row, column in ((0, 0), (sizes[0] - 16, sizes[2] - 8), (48, 120)):
        wrong = result.clone()
        wrong[row : row + 16, column : column + 8] = 0
        assert product_error.measure(left, right, wrong).worst > 10 * TOLERANCE


def test_one_value_is_named() -> None:
    left, right, result = product(1024, 512, 4096)
    result[700, 3000] += 512**0.5
    error = product_error.measure(left, right, result)
    assert error.worst == pytest.approx(1 / 16, rel=0.2)
    assert error.where in ("row 700 from column 2816", "column 3000 from row 512")


def test_two_errors_of_one_row_that_cancel_are_seen_in_their_columns() -> None:
    left, right, result = product(512, 512, 512)
    worst = []
    for other in range(1, 33):  # in two of 32 places all four vectors agree on the sign
        wrong = result.float()
        wrong[100, 0] += 20
        wrong[100, other] -= 20
        worst.append(product_error.measure(left, right, wrong).worst)
    assert min(worst) > 5 * TOLERANCE


def test_a_value_that_is_not_finite_is_wrong() -> None:
    left, right, result = product(64, 64, 64)
    result[3, 3] = float("nan")
    with pytest.raises(Wrong, match="not finite"):
        product_error.measure(left, right, result)
