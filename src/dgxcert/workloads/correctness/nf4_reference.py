"""NF4 reference: a layer quantised by bitsandbytes as its users do, compared with NF4 computed from its definition.

Unlike NF4-CORRECT it does not rely on bitsandbytes to dequantise its own weights.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.machine.device import Device
from dgxcert.probes.stack import intruder
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
class NF4Layer:
    """Relative error of the layer's outputs, and bits per weight."""

    error: float
    bits: float


@intruder.named()
def run(device: Device) -> NF4Layer:
    """Quantise a layer on the device, run it, and compare its outputs with fp64 on the CPU."""
    import bitsandbytes
    import torch

    compute = numerics.dtype(numerics.compute_precision("nf4", device.kind))
    generator = torch.Generator("cpu").manual_seed(7)
    weight = torch.randn(OUTER, INNER, generator=generator).to(compute)
    # In bf16 for the reference too: fused kernels round their inputs to bf16, whatever type these have.
    inputs = torch.randn(ROWS, INNER, generator=generator).bfloat16()
    layer = bitsandbytes.nn.Linear4bit(
        INNER, OUTER, bias=False, compute_dtype=compute, quant_type="nf4", compress_statistics=False
    )
    layer.load_state_dict({"weight": weight})
    layer.to(device.name)
    with torch.inference_mode(), numerics.exact_matmul():
        packed = layer.weight.data.numel() * layer.weight.data.element_size()
        outputs = layer(inputs.to(device.name, compute))
    exact = inputs.double() @ reference(weight).T
    return NF4Layer(numerics.relative_error(outputs, exact), 8 * packed / weight.numel())


def reference(weight: "torch.Tensor") -> "torch.Tensor":
    """Weights quantised to NF4 and dequantised, in fp64: the nearest level times the largest magnitude of the block."""
    import torch

    levels = torch.tensor(LEVELS, dtype=torch.float64)
    blocks = weight.double().reshape(-1, BLOCK)
    scales = blocks.abs().amax(dim=1, keepdim=True)
    nearest = ((blocks / scales).unsqueeze(-1) - levels).abs().argmin(dim=-1)
    return (levels[nearest] * scales).reshape(weight.shape)
