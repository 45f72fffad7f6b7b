"""Seeded models: full-size Llamas built from their shape on the device, without a download.

Weights are N(0, 0.02), seeded. Zeros and uninitialised memory would run faster than real weights.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.models import nf4
from dgxcert.workloads.models.architectures import BYTES, SHAPES, Shape, weight_bytes

if TYPE_CHECKING:
    import torch

SEED = 2025
STD = 0.02


def build(device: Device, shape: Shape, precision: str, *, extra_bytes: float = 0.0) -> Any:
    """A `LlamaForCausalLM` in eval mode on the device; `nf4` has NF4 layers and everything else in bf16 or fp32.

    Raises Inconclusive, before anything is allocated, where it does not fit into memory together with `extra_bytes`.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    compute = numerics.compute_precision(precision, device.kind)
    require_memory(device, shape, precision, extra_bytes)
    config = LlamaConfig(**shape.config)
    generator = torch.Generator(device.name).manual_seed(SEED)
    if precision == "nf4":
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=numerics.dtype(compute))
        nf4.materialise(model, config, device, generator, STD)
    else:
        with torch.device(device.name), _no_init_weights():
            model = AutoModelForCausalLM.from_config(config, dtype=numerics.dtype(precision))
        _fill(model, generator)
    return model.eval()


def require_memory(device: Device, shape: Shape, precision: str, extra_bytes: float) -> None:
    """Raise Inconclusive where a model does not fit into memory; its remedy names the largest that does."""
    compute = numerics.compute_precision(precision, device.kind)
    model = f"a model of {shape.parameters / 1e9:.2f} B parameters in {precision}"
    needed = {name: size_bytes(known, precision, compute) + extra_bytes for name, known in SHAPES.items()}
    allowed = allocation.allowed_bytes(device)
    fitting = [name for name, size in needed.items() if size <= allowed]
    largest = max(fitting, key=lambda name: needed[name], default=None)
    advice = f"Use {largest}, the largest model that fits: name it under `workloads:` in a profile of your own."
    allocation.require(
        device, size_bytes(shape, precision, compute) + extra_bytes, model, *([advice] if largest else [])
    )


def size_bytes(shape: Shape, precision: str, compute: str) -> float:
    """Bytes of all weights, half a GiB for activations, and a KV cache of 4096 tokens."""
    embedding = 0 if shape.tied else shape.head_parameters * BYTES[compute]
    kv_cache = 4096 * shape.cache_values_per_token * BYTES[compute]
    return weight_bytes(shape, precision, compute) + embedding + kv_cache + allocation.GIB / 2


def _no_init_weights() -> Any:
    """transformers' context that skips the initialisation of weights; it moved in version 5."""
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
