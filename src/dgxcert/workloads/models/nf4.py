"""NF4: 4-bit weights by bitsandbytes, made one layer at a time so that no 16-bit copy of a model ever exists."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

BLOCK = 64
ROWS = (1, 8)
"""Rows of the random inputs that a quantised layer is judged by: a single one runs the kernel that decode uses."""

LAYERS = ((4096, 1024), (2048, 5632), (1536, 576))
"""Inner and outer size of layers that are judged alone: of Llamas with 8 B and 1 B parameters, and a small odd one."""

QUANTISATION = Limit(
    name="NF4 quantisation error",
    min=0.090,
    max=0.094,
    unit="relative",
    source=f"0.092 measured for normal weights in blocks of {BLOCK}; 2 % around it",
)
"""Frobenius norm of what the quantisation changes over that of the weights."""

BLOCK_QUANTISATION = Limit(
    name="NF4 quantisation error of one block",
    max=0.2,
    unit="relative",
    source=f"0.060 to 0.135 measured over 65 000 blocks of {BLOCK} normal weights; a lost or doubled scale gives 1",
)
"""The same of the worst block: in a whole layer the wrong scale of one is lost."""


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
    import torch

    shape, kind = linear.weight.shape, linear.weight.dtype
    return _layer(torch.empty(shape, dtype=kind, device=device.name).normal_(0, std, generator=generator))


def _layer(weights: "torch.Tensor") -> Any:
    """A layer that holds these weights as NF4 and computes in their type, where they lie."""
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
    """The largest relative error of the sampled layers' products against fp64 on their dequantised weights."""
    return max(_product_error(sample, rows, device, compute) for sample in model.nf4_samples for rows in ROWS)


def _product_error(sample: Sample, count: int, device: Device, compute: str) -> float:
    """The inputs are rounded to bf16 before either product: fused kernels multiply in bf16 whatever they are given."""
    import torch

    generator = torch.Generator("cpu").manual_seed(1)
    rows = torch.randn(count, sample.weights.shape[1], generator=generator).bfloat16()
    with torch.inference_mode(), numerics.exact_products():
        found = sample.layer(rows.to(device.name, numerics.dtype(compute)))
    return numerics.relative_error(found, rows.double() @ sample.weights.double().T)


def samples(device: Device) -> "list[tuple[Sample, torch.Tensor]]":
    """Single layers with normal weights, each with the weights that it was made from, fp32 on the CPU."""
    import torch

    compute = numerics.dtype(numerics.compute_precision("nf4", device.kind))
    made = []
    for inner, outer in LAYERS:
        weights = torch.randn(outer, inner, generator=torch.Generator("cpu").manual_seed(inner)).to(compute)
        layer = _layer(weights.to(device.name))
        made.append((Sample(f"{inner}x{outer}", layer, _dequantised(layer.weight)), weights.float()))
    return made


def product_errors(device: Device, made: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """The relative errors of layers' products against fp64 on their dequantised weights, by rows and shape."""
    compute = numerics.compute_precision("nf4", device.kind)
    pairs = itertools.product(ROWS, (sample for sample, _ in made))
    return {f"{rows}x{sample.name}": _product_error(sample, rows, device, compute) for rows, sample in pairs}


def quantisation_errors(made: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """What quantisation changed of each layer's weights, relative, by shape."""
    return {sample.name: numerics.relative_error(sample.weights, weights) for sample, weights in made}


def worst_blocks(made: "list[tuple[Sample, torch.Tensor]]") -> dict[str, float]:
    """The same of each layer's worst block."""
    return {sample.name: numerics.worst_part(sample.weights, weights, BLOCK) for sample, weights in made}
