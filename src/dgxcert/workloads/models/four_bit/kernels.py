"""Four-bit kernels in Triton: for one row of inputs, for few, and for many.

One row and few are bound by reading the weights. Their inputs are read as pairs of bf16, 32 bits at a time: the first
and the second of a pair meet the high and the low bits of a byte of weights, so that nothing is reordered. A level
meets the inputs as it is, and the sum over a group is scaled in fp32: what int4 multiplies is exact, and of NF4 only
the 16 levels are rounded, to bf16, where rows are few. Many rows are bound by arithmetic: weights are dequantised to
bf16.

The functions below are Triton's language: `kernels` hands them to its compiler, since Triton may not be installed where
this module is imported.
"""

# mypy: disallow-untyped-defs = False, disallow-incomplete-defs = False, disallow-untyped-calls = False

from __future__ import annotations  # for `tl.constexpr`, which Triton reads from the text

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

tl: Any = None
"""`triton.language`, once `kernels` has imported it."""


class Kernels(NamedTuple):
    """The kernels, which Triton compiles at a launch."""

    row: Any
    few: Any
    total: Any
    many: Any
    compiled: bool
    """Whether Triton compiles them. Its interpreter knows no arithmetic in bf16: it multiplies their bits as integers,
    and cuts off where it should round. There products and outputs are fp32."""


@cache
def kernels() -> Kernels:
    """The kernels; raises ImportError without Triton, which comes with torch for CUDA."""
    triton, names = import_module("triton"), globals()
    names["tl"] = import_module("triton.language")
    for function in (halves, decoded, scaled, row, few, total, many):
        names[function.__name__] = triton.jit(function)  # a kernel finds others by name
    return Kernels(row, few, total, many, isinstance(row, triton.JITFunction))


def halves(pairs):
    """The two bf16 numbers of 32 bits, as fp32, whose high bits they are."""
    return (pairs << 16).to(tl.float32, bitcast=True), (pairs & -65536).to(tl.float32, bitcast=True)


def decoded(packed, levels, nf4: tl.constexpr):
    """The levels of the two weights of a byte, in fp32; `levels` is where those of NF4 begin."""
    high, low = (packed >> 4).to(tl.int32), (packed & 15).to(tl.int32)
    if nf4:
        first, last = tl.load(levels + high), tl.load(levels + low)
    else:
        first, last = high.to(tl.float32) - 8.0, low.to(tl.float32) - 8.0
    return first, last


def scaled(scales, second, at, known, nf4: tl.constexpr, doubled: tl.constexpr):
    """The scale and the zero of the groups at these places."""
    if nf4:
        if doubled:
            level = tl.load(second + tl.load(scales + at, mask=known, other=0).to(tl.int32))
            scale = level * tl.load(second + 257 + at // 256, mask=known, other=0.0) + tl.load(second + 256)
        else:
            scale = tl.load(scales + at, mask=known, other=0.0)
        zero = tl.zeros_like(scale)
    else:
        scale, zero = halves(tl.load(scales + at, mask=known, other=0))
    return scale, zero


def row(
    pairs,
    packed,
    scales,
    second,
    levels,
    outputs,
    outer,
    inner,
    nf4: tl.constexpr,
    doubled: tl.constexpr,
    half: tl.constexpr,
    rows: tl.constexpr,
    groups: tl.constexpr,
):
    """Outputs (outer,) of one row of inputs; a program multiplies `rows` rows of weights, `groups` groups at a time."""
    n = (tl.program_id(0) * rows + tl.arange(0, rows)).to(tl.int64)  # a matrix may have more than 2**31 bytes
    all_groups = inner // (2 * half)
    sums = tl.zeros((rows, groups, half), tl.float32)
    for start in range(0, all_groups, groups):
        group = start + tl.arange(0, groups)
        pair = group[:, None] * half + tl.arange(0, half)[None, :]
        known = (n[:, None] < outer) & (group[None, :] < all_groups)
        first, last = halves(tl.load(pairs + pair, mask=(group < all_groups)[:, None], other=0))
        at = n[:, None, None] * (inner // 2) + pair[None, :, :]
        high, low = decoded(tl.load(packed + at, mask=known[:, :, None], other=0), levels, nf4)
        scale, zero = scaled(scales, second, n[:, None] * all_groups + group[None, :], known, nf4, doubled)
        sums += (high * first[None, :, :] + low * last[None, :, :]) * scale[:, :, None]
        if not nf4:
            sums += (first + last)[None, :, :] * zero[:, :, None]
    added = tl.sum(tl.sum(sums, 2), 1)
    tl.store(outputs + n, added.to(outputs.dtype.element_ty), mask=n < outer)


def few(
    pairs,
    packed,
    scales,
    second,
    levels,
    outputs,
    count,
    outer,
    inner,
    nf4: tl.constexpr,
    doubled: tl.constexpr,
    half: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    parts: tl.constexpr,
    multiplied: tl.constexpr,
):
    """Outputs (parts, count, outer) of at most `rows` rows; a program has `columns` of a part.

    The groups of a row are divided among `parts`, which `total` adds: one part would leave most of a GPU idle.
    """
    m = tl.arange(0, rows)
    n = (tl.program_id(0) * columns + tl.arange(0, columns)).to(tl.int64)
    all_groups = inner // (2 * half)
    of_part = tl.cdiv(all_groups, parts)
    begin = tl.program_id(1) * of_part
    sums = tl.zeros((rows, columns), tl.float32)
    for group in range(begin, tl.minimum(begin + of_part, all_groups)):
        pair = group * half + tl.arange(0, half)
        read = tl.load(pairs + m[:, None] * (inner // 2) + pair[None, :], mask=(m < count)[:, None], other=0)
        first, last = halves(read)
        at = n[:, None] * (inner // 2) + pair[None, :]
        high, low = decoded(tl.load(packed + at, mask=(n < outer)[:, None], other=0), levels + 16, nf4)
        scale, zero = scaled(scales, second, n * all_groups + group, n < outer, nf4, doubled)
        product = tl.dot(first.to(multiplied), tl.trans(high.to(multiplied)))
        product = tl.dot(last.to(multiplied), tl.trans(low.to(multiplied)), product)
        sums += product * scale[None, :]
        if not nf4:
            sums += tl.sum(first + last, 1)[:, None] * zero[None, :]
    where = (tl.program_id(1) * count + m)[:, None] * outer + n[None, :]
    known = (m < count)[:, None] & (n < outer)[None, :]
    tl.store(outputs + where, sums.to(outputs.dtype.element_ty), mask=known)


def total(partial, outputs, size, parts: tl.constexpr, block: tl.constexpr):
    """The sum of the parts of `size` outputs."""
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    sums = tl.zeros((block,), tl.float32)
    for part in range(parts):
        sums += tl.load(partial + part * size + at, mask=at < size, other=0.0)
    tl.store(outputs + at, sums.to(outputs.dtype.element_ty), mask=at < size)


def many(
    inputs,
    packed,
    scales,
    second,
    levels,
    outputs,
    count,
    outer,
    inner,
    nf4: tl.constexpr,
    doubled: tl.constexpr,
    half: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    multiplied: tl.constexpr,
):
    """Outputs (count, outer); a program has `rows` by `columns`, and dequantises a group of its weights at a time."""
    blocks = tl.cdiv(count, rows)  # neighbours share weights, which would be dequantised again where they have left
    m = ((tl.program_id(0) % blocks) * rows + tl.arange(0, rows)).to(tl.int64)
    n = ((tl.program_id(0) // blocks) * columns + tl.arange(0, columns)).to(tl.int64)
    all_groups = inner // (2 * half)
    sums = tl.zeros((rows, columns), tl.float32)
    for group in range(all_groups):
        column = group * 2 * half + tl.arange(0, 2 * half)
        read = tl.load(inputs + m[:, None] * inner + column[None, :], mask=(m < count)[:, None], other=0.0)
        at = n[:, None] * (inner // 2) + group * half + tl.arange(0, half)[None, :]
        high, low = decoded(tl.load(packed + at, mask=(n < outer)[:, None], other=0), levels, nf4)
        scale, zero = scaled(scales, second, n * all_groups + group, n < outer, nf4, doubled)
        first, last = high * scale[:, None] + zero[:, None], low * scale[:, None] + zero[:, None]
        weights = tl.interleave(first.to(multiplied), last.to(multiplied))
        sums = tl.dot(read.to(multiplied), tl.trans(weights), sums)
    known = (m < count)[:, None] & (n < outer)[None, :]
    tl.store(outputs + m[:, None] * outer + n[None, :], sums.to(outputs.dtype.element_ty), mask=known)
