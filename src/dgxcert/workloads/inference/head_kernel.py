"""Head kernel: logits of one row, and the largest of each block of them found where they are computed, in Triton.

A compiler that fuses reductions cannot do this: the second one reads what the first one has reduced. Here the program
that has multiplied a block of lm_head's rows still holds their logits, so that no pass over the vocabulary follows.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROWS = 16
"""Rows of lm_head of one program; a vocabulary of 128 256 gives 8016 programs."""
COLUMNS = 512
"""Columns that a program reads at a time, with `ROWS` rows 16 KiB in 16 bits."""
WARPS = 16
"""Of the one program that finds the largest of all blocks."""

tl: Any = None
"""`triton.language`, once `kernels` has imported it: Triton looks it up among the globals of a kernel's module."""


@cache
def kernels() -> tuple[Any, Any]:
    """The product with the largest logit of each block, and the largest of these; Triton compiles them at a launch."""
    global tl
    tl = import_module("triton.language")

    # Defined here because Triton may not be installed where this module is imported.
    def product(hidden, weight, logits, best, index, width, vocabulary, rows: tl.constexpr, columns: tl.constexpr):  # type: ignore[no-untyped-def]  # the types are Triton's
        block = tl.program_id(0)
        row = block * rows + tl.arange(0, rows)
        inside = row < vocabulary
        base = weight + row.to(tl.int64)[:, None] * width  # 64 bits: lm_head may have more than 2**31 values
        sums = tl.zeros((rows, columns), tl.float32)
        for start in range(0, width, columns):
            column = start + tl.arange(0, columns)
            known = column < width
            left = tl.load(hidden + column, mask=known, other=0.0).to(tl.float32)
            right = tl.load(base + column[None, :], mask=inside[:, None] & known[None, :], other=0.0).to(tl.float32)
            sums += left[None, :] * right
        rounded = tl.sum(sums, 1).to(logits.dtype.element_ty)
        tl.store(logits + row, rounded, mask=inside)
        # Compared as they are stored: rounding makes equals, of which the first one counts. What is no number counts as
        # the largest, as in torch.
        value = rounded.to(tl.float32)
        value = tl.where(value != value, float("inf"), value)
        value = tl.where(inside, value, float("-inf"))
        tl.store(best + block, tl.max(value, 0))
        tl.store(index + block, block * rows + tl.argmax(value, 0, tie_break_left=True))

    def choose(best, index, token, blocks, size: tl.constexpr):  # type: ignore[no-untyped-def]  # as above
        block = tl.arange(0, size)
        value = tl.load(best + block, mask=block < blocks, other=float("-inf"))
        first = tl.argmax(value, 0, tie_break_left=True)
        tl.store(token, tl.load(index + first).to(tl.int64))

    jit = import_module("triton").jit
    return jit(product), jit(choose)


def is_installed() -> bool:
    """Whether Triton can be imported, which comes with torch for CUDA."""
    from importlib.util import find_spec

    return find_spec("triton") is not None


def logits_and_token(hidden: "torch.Tensor", lm_head: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Logits (1, vocabulary) of one normed row, in its type, and the index of the first of the largest, (1, 1).

    The row has `hidden` values; `lm_head` is of shape (vocabulary, hidden), row by row in memory.
    """
    import torch

    hidden, (vocabulary, width) = hidden.contiguous(), lm_head.shape
    blocks = -(-vocabulary // ROWS)
    logits = hidden.new_empty(1, vocabulary)
    best = torch.empty(blocks, dtype=torch.float32, device=hidden.device)
    index = torch.empty(blocks, dtype=torch.int32, device=hidden.device)
    token = torch.empty(1, 1, dtype=torch.long, device=hidden.device)
    product, choose = kernels()
    product[(blocks,)](hidden, lm_head, logits, best, index, width, vocabulary, rows=ROWS, columns=COLUMNS)
    choose[(1,)](best, index, token, blocks, size=1 << (blocks - 1).bit_length(), num_warps=WARPS)
    return logits, token
