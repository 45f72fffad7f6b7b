"""Models: full-size networks built from their shape, straight on the device, without a download.

Weights are N(0, 0.02), seeded. Never zeros or uninitialised memory: those run faster than real weights.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.device import Device
from dgxcert.workloads import nf4, numerics, roofline, room
from dgxcert.workloads.shapes import Shape

if TYPE_CHECKING:
    import torch

SEED = 2025
STD = 0.02


def build(device: Device, shape: Shape, precision: str) -> Any:
    """A `LlamaForCausalLM` in eval mode on the device; `int4` has NF4 layers and everything else in bf16 or fp32.

    Raises Inconclusive where it would not fit into memory.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    compute = numerics.compute_precision(precision, device.kind)
    room.require(device, size_bytes(shape, precision, compute), f"a model of {shape.parameters / 1e9:.2f} B parameters")
    config = LlamaConfig(**shape.config)
    generator = torch.Generator(device.name).manual_seed(SEED)
    if precision == "int4":
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=numerics.dtype(compute))
        nf4.materialise(model, config, device, generator, STD)
    else:
        with torch.device(device.name), _no_init_weights():
            model = AutoModelForCausalLM.from_config(config, dtype=numerics.dtype(precision))
        _fill(model, generator)
    return model.eval()


def size_bytes(shape: Shape, precision: str, compute: str) -> float:
    """Bytes of all weights, half a GiB for activations, and a cache of 4096 tokens."""
    table = 0 if shape.tied else shape.head_parameters * roofline.BYTES[compute]
    cache = 4096 * shape.cache_values_per_token * roofline.BYTES[compute]
    return roofline.weight_bytes(shape, precision, compute) + table + cache + room.GIB / 2


def _no_init_weights() -> Any:
    """transformers' way to skip an initialisation that is about to be overwritten; it moved in version 5."""
    try:
        from transformers.initialization import no_init_weights
    except ImportError:
        from transformers.modeling_utils import no_init_weights
    return no_init_weights()


def _fill(model: Any, generator: "torch.Generator") -> None:
    """Matrices N(0, 0.02), norms one, biases zero."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, STD, generator=generator)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
