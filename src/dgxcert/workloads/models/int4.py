"""int4: 4-bit weights in groups of 128 by torch's own kernels, which need no other library and can be compiled.

A weight is (q - 8) * scale + zero, with q from 0 to 15 and a bf16 scale and zero for each group of a row, as ATen's
`_weight_int4pack_mm` defines it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

Weights = tuple[Any, ...]
"""Packed weights in the layout of a kernel."""
Product = Callable[["torch.Tensor", Weights], "torch.Tensor"]
"""Inputs (..., inner) in bf16 and packed weights to outputs (..., outer)."""

GROUP = 128
"""Weights of a row that share a scale and a zero."""
ZERO_POINT = 8
MAX_LEVEL = 15
INNER_K_TILES = 8
"""ATen's name: its GPU layout packs so many tiles of 16 inner values together, hence multiples of 128."""
ROWS = (1, 8)
"""Rows of the random inputs that verify a layer, as for NF4."""


@dataclass(frozen=True)
class QuantisedMatrix:
    """A quantised matrix (outer, inner)."""

    levels: "torch.Tensor"
    """From 0 to 15, (outer, inner)."""
    scale: "torch.Tensor"
    """Of each group, rounded to bf16, (outer, inner / 128)."""
    zero: "torch.Tensor"
    dequantised: "torch.Tensor"
    """The weights that these stand for, in the type of the original."""

    @property
    def packed(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """What `linear` takes: levels in ATen's layout for the device, and scales and zeros (inner / 128, outer, 2)."""
        import torch

        scales = torch.stack([self.scale, self.zero], -1).transpose(0, 1).contiguous().bfloat16()
        return _packed(self.levels), scales


def quantise(weight: "torch.Tensor") -> QuantisedMatrix:
    """A matrix (outer, inner) in 4 bits; raises Inconclusive for sizes that the kernels do not take."""
    import torch

    outer, inner = weight.shape
    if inner % GROUP or outer % ZERO_POINT:
        raise Inconclusive(f"torch's int4 kernels take no matrix of {outer} x {inner}, only multiples of 8 x 128")
    groups = weight.float().unflatten(1, (-1, GROUP))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / MAX_LEVEL).clamp(min=1e-6).bfloat16().float()
    zero = (low + ZERO_POINT * scale).bfloat16().float()
    levels = ((groups - zero) / scale + ZERO_POINT).round().clamp(0, MAX_LEVEL)
    dequantised = ((levels - ZERO_POINT) * scale + zero).flatten(1).to(weight.dtype)
    return QuantisedMatrix(levels.flatten(1).to(torch.int32), scale[..., 0], zero[..., 0], dequantised)


def _packed(levels: "torch.Tensor") -> "torch.Tensor":
    import torch

    if levels.device.type == "cpu":
        on_cpu: torch.Tensor = torch._convert_weight_to_int4pack_for_cpu(levels, 1)
        return on_cpu
    pairs = (levels[:, ::2] << 4 | levels[:, 1::2]).to(torch.uint8)
    packed: torch.Tensor = torch._convert_weight_to_int4pack(pairs, INNER_K_TILES)
    return packed


def linear(inputs: "torch.Tensor", weights: "tuple[torch.Tensor, ...]") -> "torch.Tensor":
    """ATen's int4 linear layer: inputs (..., inner) in bf16 and packed weights with scales to (..., outer)."""
    import torch

    packed, scales = weights
    flat = inputs.reshape(-1, inputs.shape[-1])
    multiply = torch._weight_int4pack_mm_for_cpu if inputs.device.type == "cpu" else torch._weight_int4pack_mm
    return multiply(flat, packed, GROUP, scales).unflatten(0, inputs.shape[:-1])


def replace_weights(model: Any, pack: "Callable[[QuantisedMatrix], Weights]") -> "dict[str, Weights]":
    """The packed weights by the name of each linear layer, except lm_head.

    The model gets the dequantised weights, so that its forward pass is the reference.
    """
    import torch

    packed = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            quantised = quantise(module.weight.detach())
            module.weight.data = quantised.dequantised
            packed[name] = pack(quantised)
    return packed


def error(model: Any, packed: "dict[str, Weights]", device: Device, product: "Product") -> float:
    """The largest relative error of a few layers, by `product`, against fp64 on their dequantised weights."""
    import torch

    names = list(packed)
    errors = []
    for name in {names[0], names[len(names) // 2], names[-1]}:
        weights = model.get_submodule(name).weight.detach().cpu().double()
        for count in ROWS:
            generator = torch.Generator("cpu").manual_seed(1)
            inputs = torch.randn(count, weights.shape[1], generator=generator).bfloat16()
            outputs = product(inputs.to(device.name), packed[name])
            errors.append(numerics.relative_error(outputs, inputs.double() @ weights.T))
    return max(errors)
