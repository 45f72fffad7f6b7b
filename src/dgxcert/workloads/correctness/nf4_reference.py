"""Four bits: a layer quantised by bitsandbytes as its users do it, against NF4 written out here from its definition.

Independent of bitsandbytes' own idea of what its weights mean, which NF4-CORRECT takes as given.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.models.nf4 import BLOCK

if TYPE_CHECKING:
    import torch

INNER, OUTER, ROWS = 256, 192, 8

LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""The 16 values of NF4: appendix E of the QLoRA paper (Dettmers et al., 2023)."""


@dataclass(frozen=True)
class FourBit:
    """How far the layer's product is off, and what a weight takes."""

    error: float
    bits: float


def run(device: Device) -> FourBit:
    """Quantise a layer on the device, multiply by it, and compare with fp64 on the CPU.

    The inputs are rounded to bf16 before either product, since fused kernels multiply in bf16 whatever they are given.
    """
    import bitsandbytes
    import torch

    compute = numerics.dtype(numerics.compute_precision("nf4", device.kind))
    generator = torch.Generator("cpu").manual_seed(7)
    weight = torch.randn(OUTER, INNER, generator=generator).to(compute)
    rows = torch.randn(ROWS, INNER, generator=generator).bfloat16()
    layer = bitsandbytes.nn.Linear4bit(
        INNER, OUTER, bias=False, compute_dtype=compute, quant_type="nf4", compress_statistics=False
    )
    layer.load_state_dict({"weight": weight})
    layer.to(device.name)
    with torch.inference_mode(), numerics.exact_products():
        packed = layer.weight.data.numel() * layer.weight.data.element_size()
        found = layer(rows.to(device.name, compute))
    exact = rows.double() @ reference(weight).T
    return FourBit(numerics.relative_error(found, exact), 8 * packed / weight.numel())


def reference(weight: "torch.Tensor") -> "torch.Tensor":
    """What NF4 makes of weights, in fp64: each the nearest level, times the largest magnitude of its block."""
    import torch

    levels = torch.tensor(LEVELS, dtype=torch.float64)
    blocks = weight.double().reshape(-1, BLOCK)
    scales = blocks.abs().amax(dim=1, keepdim=True)
    nearest = ((blocks / scales).unsqueeze(-1) - levels).abs().argmin(dim=-1)
    return (levels[nearest] * scales).reshape(weight.shape)
