"""Gradient: whether one is there that a weight can learn from."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def learns(gradient: "torch.Tensor | None") -> bool:
    """Whether a gradient is there, finite, and not all zeros."""
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())
