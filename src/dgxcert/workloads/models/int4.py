"""int4: 4-bit weights in groups of 128 by PyTorch's own kernels, which need no other library and can be compiled.

A weight is (q - 8) * scale + zero with q from 0 to 15, a bf16 scale and zero for each group of a row, as ATen's
`_weight_int4pack_mm` reads them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

GROUP = 128
MIDDLE = 8
LEVELS = 15
INNER_TILES = 8
"""ATen's packing on GPUs: so many tiles of 16 inner values lie together, hence inner sizes in multiples of 128."""
ROWS = (1, 8)
"""Rows of the random inputs that a layer is judged by, as for NF4."""


@dataclass(frozen=True)
class Quantised:
    """Packed weights with their scales and zeros, and what they mean in full, in the type of the original."""

    packed: "torch.Tensor"
    scales: "torch.Tensor"
    meaning: "torch.Tensor"


def quantise(weight: "torch.Tensor") -> Quantised:
    """4 bits for a matrix of shape (outer, inner); raises Inconclusive for sizes that the kernels do not take."""
    import torch

    outer, inner = weight.shape
    if inner % GROUP or outer % MIDDLE:
        raise Inconclusive(f"PyTorch's int4 kernels take no matrix of {outer} x {inner}: wanted multiples of 8 and 128")
    groups = weight.float().unflatten(1, (-1, GROUP))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / LEVELS).clamp(min=1e-6).bfloat16().float()
    zero = (low + MIDDLE * scale).bfloat16().float()
    levels = ((groups - zero) / scale + MIDDLE).round().clamp(0, LEVELS)
    meaning = ((levels - MIDDLE) * scale + zero).flatten(1).to(weight.dtype)
    scales = torch.cat([scale, zero], -1).transpose(0, 1).contiguous().bfloat16()
    return Quantised(_packed(levels.flatten(1).to(torch.int32)), scales, meaning)


def _packed(levels: "torch.Tensor") -> "torch.Tensor":
    import torch

    if levels.device.type == "cpu":
        on_cpu: torch.Tensor = torch._convert_weight_to_int4pack_for_cpu(levels, 1)
        return on_cpu
    pairs = (levels[:, ::2] << 4 | levels[:, 1::2]).to(torch.uint8)
    packed: torch.Tensor = torch._convert_weight_to_int4pack(pairs, INNER_TILES)
    return packed


def linear(inputs: "torch.Tensor", weights: "tuple[torch.Tensor, ...]") -> "torch.Tensor":
    """ATen's int4 linear layer: inputs (..., inner) in bf16 and packed weights with scales to (..., outer)."""
    import torch

    packed, scales = weights
    flat = inputs.reshape(-1, inputs.shape[-1])
    multiply = torch._weight_int4pack_mm_for_cpu if inputs.device.type == "cpu" else torch._weight_int4pack_mm
    return multiply(flat, packed, GROUP, scales).unflatten(0, inputs.shape[:-1])


def replace_weights(model: Any) -> "dict[str, tuple[torch.Tensor, torch.Tensor]]":
    """Packed weights and scales by the name of each linear layer, but lm_head.

    The model itself is given what these mean in full, so that it is the reference.
    """
    import torch

    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            made = quantise(module.weight.detach())
            module.weight.data = made.meaning
            found[name] = (made.packed, made.scales)
    return found


def error(model: Any, packed: "dict[str, tuple[torch.Tensor, torch.Tensor]]", device: Device) -> float:
    """The largest relative error of a few layers' products against fp64 on what their weights mean."""
    import torch

    names = list(packed)
    errors = []
    for name in {names[0], names[len(names) // 2], names[-1]}:
        meaning = model.get_submodule(name).weight.detach().cpu().double()
        for count in ROWS:
            generator = torch.Generator("cpu").manual_seed(1)
            rows = torch.randn(count, meaning.shape[1], generator=generator).bfloat16()
            found = linear(rows.to(device.name), packed[name])
            errors.append(numerics.relative_error(found, rows.double() @ meaning.T))
    return max(errors)
