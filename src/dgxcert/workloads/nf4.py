"""NF4: 4-bit weights by bitsandbytes, made one layer at a time so that no 16-bit copy of a model ever exists."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.device import Device
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

BLOCK = 64
ROWS = (1, 8)
"""Rows of the random inputs that a quantised layer is judged by: a single one runs the kernel that decode uses."""


@dataclass
class Sample:
    """A quantised layer and what its weights mean in full: dequantised right after they were made, fp32 on the CPU."""

    name: str
    layer: Any
    weights: "torch.Tensor"


def materialise(model: Any, config: Any, device: Device, generator: "torch.Generator", std: float) -> None:
    """Give a Llama built on meta its weights on the device: NF4 in every layer, N(0, std) in what is left.

    Keeps a sample of layers as `model.nf4_samples`, for `error`.
    """
    import torch

    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    names = [name for name in names if name != "lm_head"]
    wanted = {names[0], names[len(names) // 2], names[-1]}
    samples = []
    for name in names:
        old = model.get_submodule(name)
        new = _quantised(old, device, generator, std)
        model.set_submodule(name, new)
        if name in wanted:
            samples.append(Sample(name, new, _dequantised(new.weight)))
    _fill_what_is_left(model, device, generator, std)
    with torch.device(device.name):  # its buffers hold computed frequencies, which nothing else restores from meta
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    model.is_loaded_in_4bit = model.is_quantized = True
    model.nf4_samples = samples


def _quantised(linear: Any, device: Device, generator: "torch.Generator", std: float) -> Any:
    import bitsandbytes
    import torch

    kind = linear.weight.dtype
    weights = torch.empty(linear.weight.shape, dtype=kind, device=device.name).normal_(0, std, generator=generator)
    layer = bitsandbytes.nn.Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=False,
        compute_dtype=kind,
        quant_type="nf4",
        device="meta",
    )
    layer.weight = bitsandbytes.nn.Params4bit(
        weights, requires_grad=False, quant_type="nf4", blocksize=BLOCK, compress_statistics=False
    ).to(device.name)
    return layer


def _dequantised(weight: Any) -> "torch.Tensor":
    from bitsandbytes import functional

    full: torch.Tensor = functional.dequantize_4bit(weight.data, weight.quant_state).float().cpu()
    return full


def _fill_what_is_left(model: Any, device: Device, generator: "torch.Generator", std: float) -> None:
    """Materialise every parameter still on meta: embedding table and lm_head as matrices, norms as ones."""
    import torch

    for name, parameter in list(model.named_parameters()):
        if parameter.device.type != "meta":
            continue
        values = torch.ones(parameter.shape, dtype=parameter.dtype, device=device.name)
        if parameter.ndim > 1:
            values.normal_(0, std, generator=generator)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, torch.nn.Parameter(values, requires_grad=False))


def error(model: Any, device: Device, compute: str) -> float:
    """The largest relative error of the sampled layers' products against fp64 on their dequantised weights.

    The inputs are rounded to bf16 before either product: fused kernels multiply in bf16 whatever they are given.
    """
    import torch

    worst = 0.0
    for sample, count in itertools.product(model.nf4_samples, ROWS):
        generator = torch.Generator("cpu").manual_seed(1)
        rows = torch.randn(count, sample.weights.shape[1], generator=generator).bfloat16()
        with torch.inference_mode(), numerics.exact_products():
            found = sample.layer(rows.to(device.name, numerics.dtype(compute)))
        exact = rows.double() @ sample.weights.double().T
        worst = max(worst, numerics.relative_error(found, exact))
    return worst
