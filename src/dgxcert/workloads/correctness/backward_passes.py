"""Backward passes: gradients of the layers that training stands on, compared with fp64 on the CPU, by the worst row.

The exact gradients are written out here: torch's autograd, which is under test, takes no part in them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import rounding
from dgxcert.workloads.correctness.rounding import Worst
from dgxcert.workloads.models import nf4

if TYPE_CHECKING:
    import torch

LINEAR = {
    "cuda": ((512, 4096, 6144), (333, 1000, 640), (7, 1001, 601)),
    "cpu": ((128, 1024, 2048), (333, 1000, 640), (7, 1001, 601)),
}
"""Rows, inner size and columns of linear layers: a large one, and two that are no multiple of any tile."""

TOKENS, HIDDEN = 333, 1000
SUMMED = {"cuda": TOKENS, "cpu": 33}
"""Tokens of LayerNorm: on CPUs torch adds up gradients of its weight and bias in 16 bits, where many hide errors."""
VOCABULARY, USED_FROM = 320, 4
"""Rows of an embedding; the first few are used by no token, so their gradient is zero."""
CLASSES, CHUNK, IGNORED = 4096, 64, 3
"""Logits of a token; how many of them are compared together, since that of the target outweighs all; tokens without a
target."""
LOSS_SCALE = 1024.0
"""As `torch.amp.GradScaler` has: without one, gradients of a mean over tokens vanish in fp16."""
RANK, LORA_SCALE = 16, 2.0
EPSILON = 1e-5

LORA = {"cuda": nf4.LAYERS, "cpu": ((1024, 1024), (1536, 576))}
"""Inner and outer sizes of NF4 layers."""

Terms = dict[str, "tuple[torch.Tensor, torch.Tensor | None]"]
"""Gradients by name, each with the magnitude by row on which roundings before the last one act, where there are any."""


@dataclass(frozen=True)
class Layer:
    """A layer with its inputs, the gradient that arrives at its output, and its gradients written out.

    `forward` takes the inputs by name, in a precision on a device; `backward` the gradient and the inputs in fp64.
    """

    name: str
    inputs: "dict[str, torch.Tensor]"
    gradient: "torch.Tensor"
    forward: "Callable[..., torch.Tensor]"
    backward: "Callable[..., Terms]"


@dataclass(frozen=True)
class Comparison:
    """How many gradients were compared, and the worst row of all of them."""

    gradients: int
    worst: Worst


def compare(device: Device, precision: str) -> Comparison:
    """Compare all gradients of all layers, in "fp32", "fp16", "bf16", or "nf4" for LoRA through NF4.

    Raises Wrong for values that are not finite.
    """
    compute = compute_precision(precision, device)
    compared = [each for layer in layers(device, precision) for each in errors(layer, device, compute)]
    return Comparison(len(compared), max(compared, key=lambda each: each.error))


def compute_precision(precision: str, device: Device) -> str:
    """The precision of the inputs and gradients.

    >>> compute_precision("nf4", Device("cuda", 0, "NVIDIA H200"))
    'bf16'
    """
    return numerics.compute_precision(precision, device.kind)


def errors(layer: Layer, device: Device, precision: str) -> Iterator[Worst]:
    """The worst row of each gradient of a layer."""
    import torch

    dtype = numerics.dtype(precision)
    rounded = {name: tensor.to(dtype) for name, tensor in layer.inputs.items()}
    leaves = {name: tensor.to(device.name).requires_grad_() for name, tensor in rounded.items()}
    with numerics.exact_matmul():
        output = layer.forward(**leaves)
        outer = layer.gradient.to(output.dtype)
        computed = torch.autograd.grad(output, list(leaves.values()), outer.to(device.name))
    terms = layer.backward(outer.double(), **{name: tensor.double() for name, tensor in rounded.items()})
    for name, actual in zip(leaves, computed, strict=True):
        values, inner = terms[name]
        place = f"d{name.upper() if len(name) == 1 else name} of {layer.name} in {precision}"
        # A vector is judged value by value; logits in parts, of which most are small beside that of the target.
        width = CHUNK if name == "logits" else {1: 1, 2: values.shape[-1]}[values.ndim]
        wanted = rounding.exact(values.reshape(-1, width), precision, inner)
        try:
            error, (row,) = rounding.worst_row(actual.reshape(-1, width), wanted)
        except Wrong as wrong:
            raise Wrong(f"{place}: {wrong.problem}") from wrong
        yield Worst(error, f"{place}, row {row}")


def layers(device: Device, precision: str) -> list[Layer]:
    """The layers of a precision, with inputs of normal random numbers."""
    if precision == "nf4":
        return [_lora(device, *shape) for shape in LORA[device.kind]]
    linear = [_linear(*shape) for shape in LINEAR[device.kind]]
    return [*linear, _rms_norm(_fused), _rms_norm(_as_in_llama), _layer_norm(device), _swiglu(), _embedding(), _loss()]


def _normal(*shapes: tuple[int, ...]) -> "list[torch.Tensor]":
    import torch

    generator = torch.Generator("cpu").manual_seed(sum(map(sum, shapes)))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _linear(rows: int, inner: int, columns: int) -> Layer:
    from torch.nn import functional

    x, weight, bias, gradient = _normal((rows, inner), (columns, inner), (columns,), (rows, columns))

    def backward(gradient: "torch.Tensor", x: "torch.Tensor", w: "torch.Tensor", b: "torch.Tensor") -> Terms:
        return {
            "x": (gradient @ w, None),
            "w": (gradient.T @ x, None),
            "b": (gradient.sum(0).expand_as(b), gradient.norm(dim=0)),
        }

    return Layer(
        f"linear {rows}x{inner}x{columns}",
        {"x": x, "w": weight, "b": bias},
        gradient,
        lambda x, w, b: functional.linear(x, w, b),
        backward,
    )


def _fused(x: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    from torch.nn import functional

    return functional.rms_norm(x, (x.shape[-1],), weight, EPSILON)


def _as_in_llama(x: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """RMSNorm as transformers computes it in a Llama: in fp32, rounded before the weight."""
    import torch

    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)
    return weight * scaled.to(x.dtype)


def _rms_norm(way: "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]") -> Layer:
    x, weight, gradient = _normal((TOKENS, HIDDEN), (HIDDEN,), (TOKENS, HIDDEN))

    def backward(gradient: "torch.Tensor", x: "torch.Tensor", w: "torch.Tensor") -> Terms:
        scale = (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        return _normalised(gradient, x * scale, w, scale)

    name = f"RMSNorm{way.__name__.replace('_', ' ')}"
    return Layer(name, {"x": x, "w": weight}, gradient, lambda x, w: way(x, w), backward)


def _layer_norm(device: Device) -> Layer:
    from torch.nn import functional

    tokens = SUMMED[device.kind]
    sums = (2 * tokens) ** 0.5 if device.kind == "cpu" else 1.0  # each term and each partial sum is rounded
    x, weight, bias, gradient = _normal((tokens, HIDDEN), (HIDDEN,), (HIDDEN,), (tokens, HIDDEN))

    def backward(gradient: "torch.Tensor", x: "torch.Tensor", w: "torch.Tensor", b: "torch.Tensor") -> Terms:
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        terms = _normalised(gradient, centred * scale, w, scale)
        values, inner = terms["x"]
        mean = (gradient * w).mean(-1, keepdim=True) * scale
        products = (gradient * centred * scale).norm(dim=0)
        return {
            "x": (values - mean, inner),
            "w": (terms["w"][0], products * sums),
            "b": (gradient.sum(0).expand_as(b), gradient.norm(dim=0) * sums),
        }

    return Layer(
        "LayerNorm",
        {"x": x, "w": weight, "b": bias},
        gradient,
        lambda x, w, b: functional.layer_norm(x, (HIDDEN,), w, b, EPSILON),
        backward,
    )


def _normalised(
    gradient: "torch.Tensor", normal: "torch.Tensor", weight: "torch.Tensor", scale: "torch.Tensor"
) -> Terms:
    """Gradients of `normal * weight`, where `normal` has a mean square of 1 and `scale` is what made it so."""
    weighted = gradient * weight
    along = (weighted * normal).mean(-1, keepdim=True)
    products = gradient * normal  # both rounded, the normal rows and their products
    return {
        "x": ((weighted - normal * along) * scale, (weighted * scale).norm(dim=-1)),
        "w": (products.sum(0), products.norm(dim=0) * 2**0.5),
    }


def _swiglu() -> Layer:
    from torch.nn import functional

    gate, up, gradient = _normal((TOKENS, HIDDEN), (TOKENS, HIDDEN), (TOKENS, HIDDEN))

    def backward(gradient: "torch.Tensor", gate: "torch.Tensor", up: "torch.Tensor") -> Terms:
        share = gate.sigmoid()
        terms = {"gate": gradient * up * share * (1 + gate * (1 - share)), "up": gradient * gate * share}
        return {name: (values, values.norm(dim=-1)) for name, values in terms.items()}

    return Layer("SwiGLU", {"gate": gate, "up": up}, gradient, lambda gate, up: functional.silu(gate) * up, backward)


def _embedding() -> Layer:
    import torch
    from torch.nn import functional

    weight, gradient = _normal((VOCABULARY, HIDDEN), (2 * VOCABULARY, HIDDEN))
    every = torch.arange(USED_FROM, VOCABULARY)
    repeated = torch.randint(
        USED_FROM, VOCABULARY, (2 * VOCABULARY - len(every),), generator=torch.Generator("cpu").manual_seed(1)
    )
    ids = torch.cat([every, repeated])

    def backward(gradient: "torch.Tensor", w: "torch.Tensor") -> Terms:
        squares = torch.zeros(VOCABULARY, dtype=torch.float64).index_add_(0, ids, gradient.square().sum(-1))
        return {"w": (torch.zeros_like(w).index_add_(0, ids, gradient), squares.sqrt())}

    return Layer("an embedding", {"w": weight}, gradient, lambda w: functional.embedding(ids.to(w.device), w), backward)


def _loss() -> Layer:
    import torch
    from torch.nn import functional

    (logits,) = _normal((TOKENS, CLASSES))
    targets = torch.randint(CLASSES, (TOKENS,), generator=torch.Generator("cpu").manual_seed(2))
    targets[:IGNORED] = -100

    def forward(logits: "torch.Tensor") -> "torch.Tensor":
        return functional.cross_entropy(logits.float(), targets.to(logits.device))  # in fp32, as transformers does

    def backward(gradient: "torch.Tensor", logits: "torch.Tensor") -> Terms:
        values = logits.softmax(-1)
        values[torch.arange(TOKENS), targets.clamp(min=0)] -= 1
        values[:IGNORED] = 0
        return {"logits": (values * gradient / (TOKENS - IGNORED), None)}

    return Layer("cross-entropy", {"logits": logits}, torch.tensor(LOSS_SCALE), forward, backward)


def _lora(device: Device, inner: int, outer: int) -> Layer:
    """a linear layer of NF4 weights with LoRA adapters beside it, as PEFT computes it."""
    from torch.nn import functional

    shapes = ((TOKENS, inner), (outer, inner), (RANK, inner), (outer, RANK), (TOKENS, outer))
    x, weight, down, up, gradient = _normal(*shapes)
    frozen = nf4.sample(weight.to(device.name, numerics.dtype(compute_precision("nf4", device))))
    weights = frozen.weights.double()

    def forward(x: "torch.Tensor", a: "torch.Tensor", b: "torch.Tensor") -> "torch.Tensor":
        result: torch.Tensor = frozen.layer(x) + functional.linear(functional.linear(x, a), b) * LORA_SCALE
        return result

    def backward(gradient: "torch.Tensor", x: "torch.Tensor", a: "torch.Tensor", b: "torch.Tensor") -> Terms:
        through, beside, low = gradient @ weights, (gradient @ b) * LORA_SCALE, x @ a.T * LORA_SCALE
        terms = {"x": through + beside @ a, "a": beside.T @ x, "b": gradient.T @ low}
        # Dequantised weights and the products of the adapters are rounded, and so are both ways before they are added.
        inner = (2 * through.square().sum(-1) + 2 * (beside @ a).square().sum(-1)).sqrt()
        return {name: (values, inner if name == "x" else values.norm(dim=-1)) for name, values in terms.items()}

    inputs = {"x": x, "a": down * inner**-0.5, "b": up}
    return Layer(f"LoRA through NF4 {inner}x{outer}", inputs, gradient, forward, backward)
