"""Attention in fp64 on the CPU: output and gradients, and the error of each row that rounding makes in a fused kernel.

A kernel rounds the weights P of the keys, the gradients dS of the scores, and its results to the precision of its
inputs, and computes dS from the rounded output (FlashAttention-2, algorithms 1 and 2). Where a row's terms cancel, as
gradients of queries do where keys have a direction in common, these roundings weigh more than the row itself.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dgxcert.workloads.correctness import rounding
from dgxcert.workloads.correctness.rounding import Exact

if TYPE_CHECKING:
    import torch

NAMES = ("output", "dQ", "dK", "dV")

SCORE_ERROR = 2.0**-22
"""Relative error of a score, which kernels add up in fp32: it matters in fp32, where scores of -200 lose eight bits."""


def compute(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    gradient: "torch.Tensor | None",
    *,
    causal: bool,
    precision: str,
) -> dict[str, Exact]:
    """The exact output, and with the `gradient` of the output those of query, key and value, by name.

    `query` and `gradient` are of shape (batch, heads, queries, d), `key` and `value` (batch, kv_heads, keys, d), each
    head of them shared by heads / kv_heads consecutive queries.
    """
    import torch

    batch, kv_heads, _, dim = key.shape
    groups = (batch * kv_heads, query.shape[1] // kv_heads, *query.shape[2:])
    queries = query.double().reshape(groups)
    keys, values = (tensor.double().flatten(0, 1) for tensor in (key, value))
    outer = None if gradient is None else gradient.double().reshape(groups)
    parts = [
        list(_head(queries[i], keys[i], values[i], None if outer is None else outer[i], causal, precision))
        for i in range(batch * kv_heads)
    ]
    wanted = {}
    for name, of_heads, like in zip(NAMES, zip(*parts, strict=True), (query, query, key, value), strict=False):
        exact, inner = (torch.stack(list(column)) for column in zip(*of_heads, strict=True))
        wanted[name] = rounding.exact(exact.reshape(*like.shape[:3], dim), precision, inner.reshape(like.shape[:3]))
    return wanted


def _head(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    gradient: "torch.Tensor | None",
    causal: bool,
    precision: str,
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Results of one head of keys and values (keys, d) and the queries that share it (group, queries, d).

    Each comes with the magnitude, by row, on which roundings before the last one act. Independent errors add up as
    squares; that of the rounded output shifts all dS of a query together, along the weighted mean of the keys.
    """
    import torch

    scale = query.shape[-1] ** -0.5
    scores = query @ key.T * scale
    blurred = (scores * (SCORE_ERROR / rounding.ERROR[precision])).square() + 1 if precision == "fp32" else 1.0
    if causal:
        scores.masked_fill_(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), float("-inf"))
    weights = scores.softmax(-1)
    output = weights @ value
    yield output, ((weights.square() * blurred) @ _squares(value)).sqrt()
    if gradient is None:
        return
    shift = (gradient * output).square().sum(-1).sqrt() * scale
    slopes = weights * (gradient @ value.T - (gradient * output).sum(-1, keepdim=True)) * scale
    lost = (rounding.SUBNORMAL[precision] / rounding.ERROR[precision]) ** 2
    squared = slopes.square() * blurred + lost
    of_mean = shift.square() * _squares(weights @ key)
    yield slopes @ key, (squared @ _squares(key) + of_mean).sqrt()
    # Gradients of a shared head are rounded once per query head before they are added up.
    of_heads = slopes.mT @ query
    squared = squared + (weights * shift.unsqueeze(-1)).square()
    yield of_heads.sum(0), ((squared.mT @ _squares(query).unsqueeze(-1)).squeeze(-1) + _squares(of_heads)).sum(0).sqrt()
    of_heads = weights.mT @ gradient
    inner = (weights.square() * blurred + lost).mT @ _squares(gradient).unsqueeze(-1)
    yield of_heads.sum(0), (inner.squeeze(-1) + _squares(of_heads)).sum(0).sqrt()


def _squares(rows: "torch.Tensor") -> "torch.Tensor":
    return rows.square().sum(-1)
