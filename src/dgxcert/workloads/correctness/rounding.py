"""Rounding: errors in units of what rounding to a precision explains, by the worst row, so that one limit fits all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.units import OF_ROUNDING
from dgxcert.outcome import Wrong

if TYPE_CHECKING:
    import torch

UNIT = OF_ROUNDING
"""Unit of an error: 1 is what one rounding of each intermediate result makes on average."""

ERROR = {"fp32": 5e-7, "fp16": 2.08e-4, "bf16": 1.66e-3}
"""Relative error of results that are rounded once, root mean square over a row. In 16 bits the rounding of the result
itself, which outweighs the sum in 24 bits; in fp32 the sum of up to 14 000 products. Measured on a CPU."""

SUBNORMAL = {"fp32": 2.0**-149, "fp16": 2.0**-24, "bf16": 2.0**-133}
"""Distance of the smallest numbers: half of it may be lost however small a number is."""


@dataclass(frozen=True)
class Exact:
    """A result in fp64 on the CPU, and the error of each row that rounding makes: (..., n) and (...)."""

    values: "torch.Tensor"
    expected: "torch.Tensor"


@dataclass(frozen=True)
class Worst:
    """The largest error of a row in units of rounding, and whose row it is."""

    error: float = -1.0
    row: str = ""


def exact(values: "torch.Tensor", precision: str, inner: "torch.Tensor | None" = None) -> Exact:
    """What a result should be. `inner` is the magnitude of each row (...) that roundings before the last one act on.

    >>> import torch
    >>> wanted = exact(torch.tensor([[3.0, 4.0]]), "bf16", inner=torch.tensor([12.0]))
    >>> round(float(wanted.expected) / ERROR["bf16"], 3)
    13.0
    """
    values = values.detach().cpu().double()
    squares = values.square().sum(-1)
    if inner is not None:
        squares = squares + inner.detach().cpu().double().square()
    lost = SUBNORMAL[precision] * values.shape[-1] ** 0.5
    return Exact(values, (ERROR[precision] ** 2 * squares + lost**2).sqrt())


def worst_row(actual: "torch.Tensor", wanted: Exact) -> tuple[float, tuple[int, ...]]:
    """The largest error of a row in units of rounding, and the place of that row.

    A row that should be zero must be zero. Raises Wrong where a value is not finite, or where values are missing.

    >>> import torch
    >>> right = exact(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), "bf16")
    >>> error, place = worst_row(torch.tensor([[3.0, 4.0], [0.0, 1.00166]]), right)
    >>> round(error, 2), place
    (1.0, (1,))
    """
    computed = actual.detach().cpu().double()
    if computed.shape != wanted.values.shape:
        raise Wrong(f"a result of shape {tuple(wanted.values.shape)} has shape {tuple(computed.shape)}")
    broken = int((~computed.isfinite()).sum())
    if broken:
        raise Wrong(f"{broken} of {computed.numel()} computed values are not finite numbers")
    errors = (computed - wanted.values).norm(dim=-1) / wanted.expected
    row = int(errors.argmax())
    place: list[int] = []
    for size in reversed(errors.shape):
        place.insert(0, row % size)
        row //= size
    return float(errors.max()), tuple(place)
