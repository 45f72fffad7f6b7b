"""NF4: 4-bit weights by bitsandbytes, quantised layer by layer so that no 16-bit copy of a model ever exists."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

BLOCK = 64
ROWS = (1, 8)
"""Rows of the random inputs that verify a layer: a single one runs the kernel that decode uses."""

LAYERS = ((4096, 1024), (2048, 5632), (1536, 576))
"""Inner and outer sizes of single layers: of Llamas with 8 B and 1 B parameters, and a small odd one."""

QUANTISATION = Limit(
    name="NF4 quantisation error",
    min=0.090,
    max=0.094,
    unit="relative",
    source=f"0.092 measured for normal weights in blocks of {BLOCK}; 2 % around it",
)
"""Relative Frobenius error of the dequantised weights."""

BLOCK_QUANTISATION = Limit(
    name="NF4 quantisation error of one block",
    max=0.2,
    unit="relative",
    source=f"0.060 to 0.135 measured over 65 000 blocks of {BLOCK} normal weights; a lost or doubled scale gives 1",
)
"""Relative error of the worst block: in a whole layer the wrong scale of one block does not show."""


@dataclass
class Sample:
    """A quantised layer and its dequantised weights (outer, inner): fp32 on the CPU, taken right after quantisation."""

    name: str
    layer: Any
    weights: "torch.Tensor"


def materialise(model: Any, config: Any, device: Device, generator: "torch.Generator", std: float) -> None:
    """Give a Llama on the meta device its weights: NF4 in every linear layer, N(0, std) in the others.

    Keeps a sample of layers as `model.nf4_samples`, for `error`.
    """
    import torch

    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    names = [name for name in names if name != "lm_head"]
    sampled = {names[0], names[len(names) // 2], names[-1]}
    samples = []
    for name in names:
        layer = _quantised(model.get_submodule(name), device, generator, std)
        model.set_submodule(name, layer)
        if name in sampled:
            samples.append(Sample(name, layer, _dequantised(layer.weight)))
    _fill_other_weights(model, device, generator, std)
    with torch.device(device.name):  # its buffers hold frequencies, which nothing else restores from meta
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    model.is_loaded_in_4bit = model.is_quantized = True
    model.nf4_samples = samples


def _quantised(linear: Any, device: Device, generator: "torch.Generator", std: float) -> Any:
    import torch

    shape, dtype = linear.weight.shape, linear.weight.dtype
    return linear4bit(torch.empty(shape, dtype=dtype, device=device.name).normal_(0, std, generator=generator))


def linear4bit(weights: "torch.Tensor") -> Any:
    """A `Linear4bit` of these weights (outer, inner) that computes in their type, on their device."""
    import bitsandbytes

    outer, inner = weights.shape
    layer = bitsandbytes.nn.Linear4bit(
        inner, outer, bias=False, compute_dtype=weights.dtype, quant_type="nf4", device="meta"
    )
    layer.weight = bitsandbytes.nn.Params4bit(
        weights, requires_grad=False, quant_type="nf4", blocksize=BLOCK, compress_statistics=False
    ).to(weights.device)
    return layer


def _dequantised(weight: Any) -> "torch.Tensor":
    from bitsandbytes import functional

    full: torch.Tensor = functional.dequantize_4bit(weight.data, weight.quant_state).float().cpu()
    return full


def _fill_other_weights(model: Any, device: Device, generator: "torch.Generator", std: float) -> None:
    """Weights for every parameter still on meta: the embedding table and lm_head N(0, std), norms 1."""
    import torch

    for name, parameter in list(model.named_parameters()):
        if parameter.device.type != "meta":
            continue
        values = torch.ones(parameter.shape, dtype=parameter.dtype, device=device.name)
        if parameter.ndim > 1:
            values.normal_(0, std, generator=generator)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, torch.nn.Parameter(values, requires_grad=False))


Product = Callable[[Any, "torch.Tensor"], "torch.Tensor"]
"""A layer and inputs (rows, inner) to outputs (rows, outer)."""


def _by_itself(layer: Any, inputs: "torch.Tensor") -> "torch.Tensor":
    outputs: torch.Tensor = layer(inputs)
    return outputs


def error(model: Any, device: Device, product: Product = _by_itself) -> float:
    """The largest relative error of the sampled layers, by `product`, against fp64 on their dequantised weights."""
    return max(_matmul_error(sample, rows, device, product) for sample in model.nf4_samples for rows in ROWS)


def _matmul_error(sample: Sample, count: int, device: Device, product: Product = _by_itself) -> float:
    import torch

    generator = torch.Generator("cpu").manual_seed(1)
    # In bf16 for the reference too: fused kernels round their inputs to bf16, whatever type these have.
    rows = torch.randn(count, sample.weights.shape[1], generator=generator).bfloat16()
    with torch.inference_mode(), numerics.exact_matmul():
        outputs = product(sample.layer, rows.to(device.name, sample.layer.compute_dtype))
    return numerics.relative_error(outputs, rows.double() @ sample.weights.double().T)


def sample(weights: "torch.Tensor") -> Sample:
    """A layer with these weights (outer, inner), quantised on their device, in whose type it computes."""
    layer = linear4bit(weights)
    outer, inner = weights.shape
    return Sample(f"{inner}x{outer}", layer, _dequantised(layer.weight))


def samples(device: Device) -> "list[tuple[Sample, torch.Tensor]]":
    """Single layers with normal weights, each with the weights before quantisation: (outer, inner), fp32 on the CPU."""
    import torch

    compute = numerics.dtype(numerics.compute_precision("nf4", device.kind))
    layers = []
    for inner, outer in LAYERS:
        weights = torch.randn(outer, inner, generator=torch.Generator("cpu").manual_seed(inner)).to(compute)
        layers.append((sample(weights.to(device.name)), weights.float()))
    return layers


def matmul_errors(device: Device, layers: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """Relative errors of layers against fp64 on their dequantised weights, by rows and shape."""
    pairs = itertools.product(ROWS, (sample for sample, _ in layers))
    return {f"{rows}x{sample.name}": _matmul_error(sample, rows, device) for rows, sample in pairs}


def quantisation_errors(layers: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """Relative error of each layer's dequantised weights, by shape."""
    return {sample.name: numerics.relative_error(sample.weights, weights) for sample, weights in layers}


def worst_blocks(layers: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """Relative error of the worst block of each layer's dequantised weights, by shape."""
    return {sample.name: numerics.worst_part(sample.weights, weights, BLOCK) for sample, weights in layers}
