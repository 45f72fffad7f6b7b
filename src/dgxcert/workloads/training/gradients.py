"""Gradients: whether a parameter has one that it can learn from."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def is_usable(gradient: "torch.Tensor | None") -> bool:
    """Whether a gradient is present, finite, and not all zeros.

    >>> import torch
    >>> is_usable(torch.tensor([0.0, 0.5])), is_usable(torch.zeros(2)), is_usable(None)
    (True, False, False)
    """
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())
