"""Product error: a large matrix product compared with fp64 on the CPU so closely that one wrong tile shows at any size.

Freivalds' algorithm compares C x with A (B x) for random x, which costs O(n²) and depends on every value of C. Over a
whole row, one wrong value of n drowns in the rounding of the others; and a norm over all rows hides a row. So each
vector covers only WIDTH columns, and the worst part of the worst row counts: what one wrong value adds then is its size
over sqrt(WIDTH), whatever the size of the matrix. Columns are held in the same way.
"""

from typing import TYPE_CHECKING, NamedTuple

from dgxcert.outcome import Wrong

if TYPE_CHECKING:
    import torch

WIDTH = 256
"""Consecutive values of a row or a column that are judged together."""
PROBES = 4
"""Random vectors of +1 and -1 for each part.

One wrong value has the same size in every vector, so that chance cannot hide it. Two of one row that cancel in all four
(1 in 16) are in two columns, where each is alone. The worst pattern, equal errors of alternating sign in the corners of
a rectangle, escapes rows and columns at 1 in 256.
"""
SEED = 7


class ProductError(NamedTuple):
    """Errors of a product, relative to what its values are like."""

    overall: float
    """Root mean square over all values."""
    worst: float
    """Root mean square over the probes of the worst part of a row or column."""
    where: str
    """That part, by the first of its values."""


def measure(left: "torch.Tensor", right: "torch.Tensor", product: "torch.Tensor") -> ProductError:
    """The error of `product` (rows, columns) as `left` (rows, inner) times `right` (inner, columns), in fp64.

    Raises Wrong where a value is not finite.

    >>> import torch
    >>> left, right = torch.eye(2), torch.tensor([[3.0, 4.0], [5.0, 12.0]])
    >>> measure(left, right, right)
    ProductError(overall=0.0, worst=0.0, where='row 0 from column 0')
    """
    left, right, product = (matrix.detach().cpu() for matrix in (left, right, product))
    rows, row_scale = _parts(left, right, product)
    columns, column_scale = _parts(right.t(), left.t(), product.t())
    overall = float((rows.square().sum() * WIDTH / product.numel()).sqrt() / row_scale.square().mean().sqrt())
    worst = [_worst(rows / row_scale, "row", "column"), _worst(columns / column_scale, "column", "row")]
    error, where = max(worst, key=lambda each: each[0])
    return ProductError(overall, error, where)


def _parts(left: "torch.Tensor", right: "torch.Tensor", product: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Error of each part of each row (rows, parts), per value, and the size that the values of a row have (rows, 1)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(SEED)
    vectors = torch.randint(0, 2, (WIDTH, PROBES), generator=generator, dtype=torch.float64) * 2 - 1
    computed, through_right = [], []
    for start in range(0, product.shape[1], WIDTH):  # in pieces: a large matrix in fp64 would take gigabytes
        columns = slice(start, start + WIDTH)
        computed.append(_fp64(product[:, columns]) @ vectors[: product[:, columns].shape[1]])
        through_right.append(_fp64(right[:, columns]) @ vectors[: product[:, columns].shape[1]])
    joined, weights = torch.stack(computed, 1), torch.cat(through_right, 1)
    broken = int((~joined.isfinite()).sum())
    if broken:
        raise Wrong(f"the product has values that are not finite numbers, in {broken} sums over parts of its rows")
    expected, lengths = [], []
    for piece in left.split(2**24 // left.shape[1] + 1):
        exact = _fp64(piece)
        expected.append(exact @ weights)
        lengths.append(exact.norm(dim=1))
    difference = joined - torch.cat(expected).reshape(joined.shape)
    spread = _fp64(right[:, :WIDTH]).square().mean().sqrt()  # of random numbers, any columns tell
    return difference.square().mean(2).div(WIDTH).sqrt(), torch.cat(lengths)[:, None] * spread


def _fp64(values: "torch.Tensor") -> "torch.Tensor":
    return values.float().double()  # by way of fp32, since fp8 has few conversions


def _worst(errors: "torch.Tensor", line: str, across: str) -> tuple[float, str]:
    index = int(errors.argmax())
    position, part = divmod(index, errors.shape[1])
    return float(errors.flatten()[index]), f"{line} {position} from {across} {part * WIDTH}"
