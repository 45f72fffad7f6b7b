"""Fused products: the products of a decoding step for one row, written so that a compiler fuses what surrounds them.

A product of one row is a reduction over each row of its matrix, bound by reading that matrix. What stands beside it, a
norm, an activation or a rotation, takes a kernel of its own of a few microseconds unless it is part of that reduction.
On a GPU the functions are compiled; without a compiler they compute the same, slowly.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

BLOCK = 64
"""Logits whose largest is found together: it divides the vocabularies of Llamas (32 000 and 128 256)."""


class Norm(NamedTuple):
    """RMS norm before a product: its weight (hidden,), and its epsilon."""

    weight: "torch.Tensor"
    eps: float


def normed_products(hidden: "torch.Tensor", norm: Norm, *matrices: "torch.Tensor", fused: bool) -> "list[torch.Tensor]":
    """Products of one normed row with each matrix (..., hidden), in fp32; `hidden` is of shape (1, 1, hidden).

    With `fused` the norm's scale follows the product, for it is one number: each row of a matrix then sums the squares
    beside its product, which costs no memory traffic and no kernel before it.

    >>> import torch
    >>> hidden, norm = torch.tensor([[[3.0, 4.0]]]), Norm(torch.ones(2), 0.0)
    >>> normed_products(hidden, norm, torch.eye(2), fused=True)[0]  # by the root of 12.5, their mean square
    tensor([0.8485, 1.1314])
    """
    import torch

    if fused:
        row = hidden.flatten().float()
        scaled = row * norm.weight.float()
        # Expanded to the matrix, so that this sum has the shape of the product's, and both become one kernel.
        squares = [row.square().expand(matrix.shape).mean(-1) for matrix in matrices]
        scales = [(mean + norm.eps).rsqrt() for mean in squares]
        return [(scaled * matrix.float()).sum(-1) * by for matrix, by in zip(matrices, scales, strict=True)]
    normed = torch.nn.functional.rms_norm(hidden, hidden.shape[-1:], norm.weight, norm.eps).flatten().float()
    return [(normed * matrix.float()).sum(-1) for matrix in matrices]


def qkv(
    hidden: "torch.Tensor", norm: Norm, matrix: "torch.Tensor", head_dim: int, *, fused_norm: bool
) -> "torch.Tensor":
    """Queries, keys and values before rotation, one after another: (1, heads, 1, head_dim) in the type of `hidden`."""
    (product,) = normed_products(hidden, norm, matrix, fused=fused_norm)
    return product.to(hidden.dtype).view(1, -1, 1, head_dim)


def rotated_qkv(
    hidden: "torch.Tensor",
    norm: Norm,
    matrix: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
    values: int,
    *,
    fused_norm: bool,
) -> "torch.Tensor":
    """The same with queries and keys rotated, before anything is rounded; the last `values` heads are not rotated.

    `cos` and `sin` are of shape (1, head_dim), both halves alike: the two halves of a head are two products, of which
    each half of the rotated head is a sum.
    """
    import torch

    head_dim = cos.shape[-1]
    halves = matrix.view(-1, 2, head_dim // 2, matrix.shape[-1]).unbind(1)
    first, second = normed_products(hidden, norm, *halves, fused=fused_norm)
    heads = len(first)
    is_rotated = (torch.arange(heads, device=hidden.device) < heads - values)[:, None]
    by_cos = torch.where(is_rotated, cos.chunk(2, -1)[0].float(), 1.0)
    by_sin = torch.where(is_rotated, sin.chunk(2, -1)[0].float(), 0.0)
    turned = torch.stack([first * by_cos - second * by_sin, second * by_cos + first * by_sin], 1)
    return turned.to(hidden.dtype).view(1, heads, 1, head_dim)


def activation(hidden: "torch.Tensor", norm: Norm, gate_up: "torch.Tensor", *, fused_norm: bool) -> "torch.Tensor":
    """silu(gate) * up of one row, (1, 1, intermediate): as two products of one shape, which become one kernel."""
    import torch

    gate, up = normed_products(hidden, norm, *gate_up.chunk(2), fused=fused_norm)
    return (torch.nn.functional.silu(gate) * up).to(hidden.dtype).view(1, 1, -1)


def logits(hidden: "torch.Tensor", norm: Norm, lm_head: "torch.Tensor", *, fused_norm: bool) -> "torch.Tensor":
    """Logits of one row, (1, vocabulary)."""
    (product,) = normed_products(hidden, norm, lm_head, fused=fused_norm)
    return product.to(hidden.dtype).view(1, -1)


def block_argmax(values: "torch.Tensor") -> "torch.Tensor":
    """Index of the largest value of each row, (rows, 1): the first one of equals, as torch.argmax returns it.

    `values` is of shape (rows, columns), columns a multiple of `BLOCK`. The largest of each block is found first, by as
    many threads as there are blocks: a reduction over the whole of one row is one thread block's work.

    >>> import torch
    >>> block_argmax(torch.zeros(1, 128).index_fill(1, torch.tensor([70, 90]), 1.0))
    tensor([[70]])
    """
    blocks = values.unflatten(-1, (-1, BLOCK))
    first = blocks.amax(-1).argmax(-1, keepdim=True)
    within = blocks.argmax(-1).gather(-1, first)
    return first * BLOCK + within
