"""Attention that is right forward and wrong backward, planted in torch for all that look it up when they call."""

from collections.abc import Callable
from typing import Any

import pytest


def plant(monkeypatch: pytest.MonkeyPatch, of_queries: Callable[[Any], Any], of_keys: Callable[[Any], Any]) -> None:
    """Make torch's fused attention change the gradients of queries and of keys: (rows, heads, tokens, head_dim)."""
    import torch

    original = torch.nn.functional.scaled_dot_product_attention

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, tensor: Any, change: Any) -> Any:
            context.change = change
            return tensor.view_as(tensor)

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return context.change(gradient), None

    def broken(query: Any, key: Any, value: Any, *args: Any, **options: Any) -> Any:
        if query.requires_grad:
            query, key = Broken.apply(query, of_queries), Broken.apply(key, of_keys)
        return original(query, key, value, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken)


def plant_negated_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negate the gradients of queries alone."""
    plant(monkeypatch, lambda gradient: -gradient, lambda gradient: gradient)
