"""Four-bit weights as our kernels read them: two a byte, with scales by group, in the layouts of int4 and of NF4.

A byte holds two neighbours of a row, the first in its high bits, as bitsandbytes stores them.

- int4: (q - 8) * scale + zero, with a bf16 scale and zero for each group of 128.
- NF4: level[q] * scale, with an fp32 scale for each group of 64 (QLoRA, arXiv:2305.14314, section 3).
- NF4 with double quantisation: its scales are again one byte each, a level of 256 times an fp32 scale for each 256 of
  them, plus one offset.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from dgxcert.workloads.models import int4

if TYPE_CHECKING:
    import torch

SCALE_LEVELS = 256
"""Levels of a scale that is itself quantised."""
SECOND_HEAD = SCALE_LEVELS + 1
"""Where the scales of scales begin in `second`: behind the levels and the offset."""


class FourBit(NamedTuple):
    """The weights (outer, inner) of a linear layer in four bits. Those of a bitsandbytes layer share its memory."""

    packed: "torch.Tensor"
    """Bytes of two weights, (outer, inner / 2)."""
    scales: "torch.Tensor"
    """int4: scale and zero in bf16, (outer, inner / 128, 2). NF4: (outer, inner / 64) in fp32, or bytes."""
    second: "torch.Tensor"
    """Where scales are bytes: their 256 levels, their offset and the scale of each 256 of them in fp32; else empty."""
    levels: "torch.Tensor"
    """NF4: the 16 levels in fp32, and once more rounded to bf16 (32,). int4: empty."""

    @classmethod
    def int4(cls, levels: "torch.Tensor", scale: "torch.Tensor", zero: "torch.Tensor") -> "FourBit":
        """Of levels from 0 to 15 (outer, inner) with a scale and a zero for each group (outer, inner / 128)."""
        import torch

        first, second = levels.to(torch.uint8).unflatten(1, (-1, 2)).unbind(-1)
        scales = torch.stack([scale, zero], -1).bfloat16().contiguous()
        empty = scales.new_empty(0, dtype=torch.float32)
        return cls((first << 4 | second).contiguous(), scales, empty, empty)

    @classmethod
    def nf4(cls, layer: Any) -> "FourBit":
        """Of a bitsandbytes `Linear4bit`, also of one whose scales are quantised."""
        import torch

        outer, state = layer.out_features, layer.weight.quant_state
        packed, exact = layer.weight.data.view(outer, -1), state.code.float()
        levels = torch.cat([exact, exact.bfloat16().float()])
        if not state.nested:
            scales = state.absmax.float()
            return cls(packed, scales.view(outer, -1), scales.new_empty(0), levels)
        inner = state.state2
        second = torch.cat([inner.code.float(), state.offset.float().reshape(1), inner.absmax.float()])
        return cls(packed, state.absmax.view(outer, -1), second, levels)

    @classmethod
    def joined(cls, parts: "list[FourBit]") -> "FourBit":
        """The rows of several, one below the other; only of weights without scales of scales.

        >>> import torch
        >>> part = FourBit.int4(torch.zeros(8, 128), torch.ones(8, 1), torch.zeros(8, 1))
        >>> FourBit.joined([part, part]).shape
        (16, 128)
        """
        import torch

        if any(part.second.numel() for part in parts):
            raise ValueError("weights whose scales are quantised cannot be joined: their groups cross the rows")
        packed, scales = (torch.cat([part[index] for part in parts]) for index in (0, 1))
        return cls(packed, scales, parts[0].second, parts[0].levels)

    @property
    def shape(self) -> tuple[int, int]:
        """(outer, inner)."""
        outer, half = self.packed.shape
        return outer, 2 * half

    @property
    def group(self) -> int:
        """How many weights of a row share a scale.

        >>> import torch
        >>> FourBit.int4(torch.zeros(8, 256), torch.ones(8, 2), torch.zeros(8, 2)).group
        128
        """
        return 2 * int(self.packed.shape[1]) // int(self.scales.shape[1])

    def dequantised(self) -> "torch.Tensor":
        """The weights that these stand for, (outer, inner) in fp32: the definition, in plain torch.

        >>> import torch
        >>> FourBit.int4(torch.full((8, 128), 9), torch.full((8, 1), 0.5), torch.ones(8, 1)).dequantised()[0, :2]
        tensor([1.5000, 1.5000])
        """
        import torch

        q = torch.stack([self.packed >> 4, self.packed & 15], -1).flatten(1).long().unflatten(1, (-1, self.group))
        if not self.levels.numel():
            scale, zero = self.scales.float().unbind(-1)
            return ((q - int4.ZERO_POINT) * scale[..., None] + zero[..., None]).flatten(1)
        scales = self.scales
        if self.second.numel():
            levels, offset, second = self.second.split([SCALE_LEVELS, 1, len(self.second) - SECOND_HEAD])
            groups = torch.arange(scales.numel(), device=scales.device).view_as(scales) // SCALE_LEVELS
            scales = levels[scales.long()] * second[groups] + offset
        return (self.levels[q] * scales[..., None]).flatten(1)
