"""`torch.ops.dgxcert.four_bit_linear`: the kernels as one operator of torch, which can be compiled and captured.

How a product is divided among programs depends on its shape and on the GPU: the first call of a shape tries what there
is and keeps what is fastest. While a CUDA graph is captured nothing can be tried, so that a call must come before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgxcert.workloads.models.four_bit import kernels as source
from dgxcert.workloads.models.four_bit.weights import FourBit

if TYPE_CHECKING:
    import torch

NAME = "dgxcert::four_bit_linear"
WARM_UP_MS, TIMED_MS = 4, 12
"""Of each division that is tried."""
TOTAL_BLOCK = 1024
MOST_OF_FEW = 16
"""Rows of inputs that are bound by reading the weights."""


@dataclass(frozen=True)
class Division:
    """How a product is divided among programs."""

    rows: int
    """Rows of inputs of a program; where there is only one, rows of weights."""
    columns: int
    """Rows of weights of a program; where there is one row of inputs, groups that are read at a time."""
    warps: int
    stages: int = 2
    parts: int = 1
    """Programs among which the groups of a row are divided, where rows are few."""


ONE_ROW = (
    Division(rows=4, columns=8, warps=4),
    Division(rows=2, columns=16, warps=4),
    Division(rows=4, columns=16, warps=8),
    Division(rows=1, columns=32, warps=4),
)
"""Short reads would leave the memory idle between them: a program has 1 to 4 KiB on their way."""
FEW_ROWS = (
    Division(rows=16, columns=32, warps=4, stages=4, parts=4),
    Division(rows=16, columns=64, warps=4, stages=4, parts=4),
    Division(rows=16, columns=32, warps=4, stages=5, parts=8),
    Division(rows=16, columns=64, warps=8, stages=4),
)
MANY_ROWS = (
    Division(rows=128, columns=128, warps=8, stages=3),
    Division(rows=128, columns=64, warps=4, stages=3),
    Division(rows=64, columns=128, warps=4, stages=3),
    Division(rows=64, columns=64, warps=4, stages=4),
)


def divisions(rows: int) -> Sequence[Division]:
    """What is tried for a product of so many rows of inputs.

    >>> divisions(1) is ONE_ROW, divisions(16) is FEW_ROWS, divisions(17) is MANY_ROWS
    (True, True, True)
    """
    return ONE_ROW if rows == 1 else FEW_ROWS if rows <= MOST_OF_FEW else MANY_ROWS


@cache
def register() -> "Callable[..., torch.Tensor]":
    """The operator, known to torch from the first call on; raises ImportError without Triton.

    It takes inputs (rows, inner) in bf16 and the tensors of a `FourBit`, and gives outputs (rows, outer) in bf16.
    """
    import torch

    source.kernels()

    def four_bit_linear(
        inputs: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, second: torch.Tensor, levels: torch.Tensor
    ) -> torch.Tensor:
        return linear(inputs, FourBit(packed, scales, second, levels))

    def shapes(inputs: torch.Tensor, packed: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return inputs.new_empty(inputs.shape[0], packed.shape[0])

    operator = torch.library.custom_op(NAME, four_bit_linear, mutates_args=())
    operator.register_fake(shapes)
    found: Callable[..., torch.Tensor] = torch.ops.dgxcert.four_bit_linear.default
    return found


def linear(inputs: "torch.Tensor", weights: FourBit, division: Division | None = None) -> "torch.Tensor":
    """Outputs (rows, outer) in bf16 of inputs (rows, inner) in bf16, divided in the fastest way unless one is named.

    Raises ValueError for inputs of another type, or of no row.
    """
    import torch

    if inputs.dtype is not torch.bfloat16 or not len(inputs):
        raise ValueError(f"wanted rows in bf16, found {len(inputs)} in {inputs.dtype}")
    inputs = inputs.contiguous()
    return _launched(inputs, weights, division or _fastest(inputs, weights))


_kept: dict[tuple[Any, ...], Division] = {}
"""The fastest division by device, kind, shape and number of rows."""


def _fastest(inputs: "torch.Tensor", weights: FourBit) -> Division:
    import torch

    choice, key = divisions(len(inputs)), (inputs.device.index, weights.scales.dtype, weights.shape, len(inputs))
    if inputs.device.type != "cuda" or torch.cuda.is_current_stream_capturing():
        return _kept.get(key, choice[0])
    if key not in _kept:
        do_bench = import_module("triton.testing").do_bench  # empties the cache between calls, as a model's layers do

        def took_ms(division: Division) -> float:
            return float(do_bench(lambda: _launched(inputs, weights, division), warmup=WARM_UP_MS, rep=TIMED_MS))

        fitting = [division for division in choice if _fits(inputs, weights, division)]
        _kept[key] = min(fitting, key=took_ms) if len(fitting) > 1 else choice[-1]
    return _kept[key]


def _fits(inputs: "torch.Tensor", weights: FourBit, division: Division) -> bool:
    """Whether the GPU has the registers and the shared memory for it."""
    try:
        _launched(inputs, weights, division)
    except import_module("triton.runtime.errors").OutOfResources:
        return False
    return True


def _launched(inputs: "torch.Tensor", weights: FourBit, division: Division) -> "torch.Tensor":
    """The outputs, by the kernel for so many rows."""
    import torch

    kernels, (outer, inner), count = source.kernels(), weights.shape, len(inputs)
    outputs = inputs.new_empty(count, outer, dtype=torch.bfloat16 if kernels.compiled else torch.float32)
    pairs, blocks = inputs.view(torch.int32), -(-outer // division.columns)
    told = _told(weights, division)
    with torch.cuda.device_of(inputs):  # Triton launches on the current device, not on that of its arguments
        if count == 1:
            told |= {"groups": division.columns}
            kernels.row[(-(-outer // division.rows),)](pairs, *_read(weights), outputs, outer, inner, **told)
            return outputs.bfloat16()
        told |= {"columns": division.columns, "multiplied": _multiplied(kernels.compiled)}
        if count > MOST_OF_FEW:
            grid = (-(-count // division.rows) * blocks,)
            kernels.many[grid](inputs, *_read(weights), outputs, count, outer, inner, **told)
            return outputs.bfloat16()
        parts = division.parts
        sums = outputs if parts == 1 else inputs.new_empty(parts, count, outer, dtype=torch.float32)
        kernels.few[(blocks, parts)](pairs, *_read(weights), sums, count, outer, inner, parts=parts, **told)
        if parts > 1:
            size = outputs.numel()
            kernels.total[(-(-size // TOTAL_BLOCK),)](sums, outputs, size, parts=parts, block=TOTAL_BLOCK)
    return outputs.bfloat16()


def _read(weights: FourBit) -> "tuple[torch.Tensor, ...]":
    """The tensors that a kernel reads beside its inputs; scales and zeros of int4 as pairs of 32 bits."""
    import torch

    scales = weights.scales.view(torch.int32) if weights.scales.dtype is torch.bfloat16 else weights.scales
    return weights.packed, scales, weights.second, weights.levels


def _told(weights: FourBit, division: Division) -> dict[str, Any]:
    """What every kernel is compiled for."""
    return {
        "nf4": bool(weights.levels.numel()),
        "doubled": bool(weights.second.numel()),
        "half": weights.group // 2,
        "rows": division.rows,
        "num_warps": division.warps,
        "num_stages": division.stages,
    }


def _multiplied(compiled: bool) -> Any:
    """The type in which tiles are multiplied, as Triton names it."""
    language = import_module("triton.language")
    return language.bfloat16 if compiled else language.float32
