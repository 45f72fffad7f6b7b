"""Wrong gradients: faults of a backward pass, each a function of the right gradient (..., rows, columns)."""

from collections.abc import Callable
from typing import Any

import torch


class _Changed(torch.autograd.Function):
    """The identity, whose gradient is changed."""

    @staticmethod
    def forward(ctx: Any, tensor: Any, change: Callable[[Any], Any]) -> Any:
        ctx.change = change
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return ctx.change(gradient.clone(memory_format=torch.contiguous_format)), None


def changed(tensor: Any, change: Callable[[Any], Any]) -> Any:
    """The same tensor, with another gradient where it has one."""
    return _Changed.apply(tensor, change) if tensor.requires_grad else tensor


FAULTS: dict[str, Callable[[Any], Any]] = {}
"""All of them by name."""


def _fault(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    FAULTS[change.__name__.strip("_")] = change
    return change


def _rows(gradient: Any) -> Any:
    """All rows of a gradient; of a vector, its values."""
    return gradient.view(-1, gradient.shape[-1] if gradient.ndim > 1 else 1)


@_fault
def negated(gradient: Any) -> Any:
    """Every sign is wrong."""
    return -gradient


@_fault
def zeroed(gradient: Any) -> Any:
    """Nothing arrives."""
    return gradient * 0


@_fault
def halved(gradient: Any) -> Any:
    """The wrong scale."""
    return gradient / 2


@_fault
def a_sixteenth_too_large(gradient: Any) -> Any:
    """Every value is 6 % too large."""
    return gradient * (1 + 2**-4)


@_fault
def a_quarter_of_the_signs_flipped(gradient: Any) -> Any:
    """Signs of values at random."""
    kept = torch.rand(gradient.shape, generator=torch.Generator().manual_seed(1)) > 0.25
    return torch.where(kept, gradient, -gradient)


@_fault
def one_row_zeroed(gradient: Any) -> Any:
    """A single row, in a single head."""
    _rows(gradient)[-2] = 0
    return gradient


@_fault
def rows_swapped(gradient: Any) -> Any:
    """Two neighbouring rows get each other's values."""
    rows = _rows(gradient)
    rows[[-3, -2]] = rows[[-2, -3]]
    return gradient


@_fault
def one_tile_zeroed(gradient: Any) -> Any:
    """16 rows of 8 columns."""
    if gradient.ndim == 1:
        gradient[8:16] = 0
    else:
        gradient[..., -17:-1, 8:16] = 0
    return gradient
