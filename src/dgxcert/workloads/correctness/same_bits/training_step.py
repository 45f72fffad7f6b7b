"""Training step: forward, backward and fused AdamW of a small Llama-like model, written out in torch alone.

It shares nothing with transformers, so that it starts in a moment and runs in fp64 on a CPU as it does on a GPU.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

SEED = 53
LEARNING_RATE = 1e-3
ADAMW_COPIES = 6
"""Weights, their gradients, two moments, and the gradients and weights in one piece."""
ACTIVATIONS = 24
"""Values that a layer keeps for each token and each of its widest features, more than a Llama's layer has."""


@dataclass(frozen=True)
class Sizes:
    """The model, and `batch` rows of `length` random tokens."""

    precision: str
    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    batch: int
    length: int

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The weights by name, each (outputs, inputs)."""
        layer = {
            **dict.fromkeys(("query", "key", "value", "output"), (self.width, self.width)),
            **dict.fromkeys(("gate", "up"), (self.inner, self.width)),
            "down": (self.width, self.inner),
        }
        layers = {f"{index}.{name}": shape for index in range(self.layers) for name, shape in layer.items()}
        return {"embedding": (self.vocabulary, self.width), **layers, "head": (self.vocabulary, self.width)}

    @property
    def needed_bytes(self) -> float:
        """Memory of a step, on the safe side."""
        weights = sum(rows * columns for rows, columns in self.shapes.values())
        tokens = self.batch * self.length
        kept = tokens * (self.layers * self.inner * ACTIVATIONS + 4 * self.vocabulary)
        return 4.0 * (ADAMW_COPIES * weights + kept)


def initial(sizes: Sizes) -> "dict[str, torch.Tensor]":
    """Seeded weights on the CPU, scaled so that activations keep their size."""
    import torch

    generator = torch.Generator("cpu").manual_seed(SEED)
    dtype = numerics.dtype(sizes.precision)
    return {
        name: (torch.randn(shape, generator=generator) * (1.0 if name == "embedding" else shape[1] ** -0.5)).to(dtype)
        for name, shape in sizes.shapes.items()
    }


def tokens(sizes: Sizes) -> "torch.Tensor":
    """Seeded random tokens on the CPU, (batch, length)."""
    import torch

    generator = torch.Generator("cpu").manual_seed(SEED)
    return torch.randint(sizes.vocabulary, (sizes.batch, sizes.length), generator=generator)


def gradients(sizes: Sizes, weights: "dict[str, torch.Tensor]", ids: "torch.Tensor") -> "torch.Tensor":
    """The gradients of all weights in one piece, in their own precision."""
    import torch

    leaves = {name: values.detach().requires_grad_() for name, values in weights.items()}
    found = torch.autograd.grad(_loss(sizes, leaves, ids), list(leaves.values()))
    return torch.cat([gradient.flatten() for gradient in found])


def step(sizes: Sizes, weights: "dict[str, torch.Tensor]", ids: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """The gradients of all weights, and the weights after one step of fused AdamW, each in one piece."""
    import torch

    found = gradients(sizes, weights, ids)
    leaves = [values.detach().clone().requires_grad_() for values in weights.values()]
    parts = found.split([values.numel() for values in leaves])
    for values, gradient in zip(leaves, parts, strict=True):
        values.grad = gradient.view_as(values).clone()
    torch.optim.AdamW(leaves, lr=LEARNING_RATE, fused=True).step()
    return found, torch.cat([values.detach().flatten() for values in leaves])


def _loss(sizes: Sizes, weights: "dict[str, torch.Tensor]", ids: "torch.Tensor") -> "torch.Tensor":
    """Mean cross entropy of the next token."""
    from torch.nn.functional import cross_entropy, embedding, linear, rms_norm, silu

    hidden = embedding(ids, weights["embedding"])
    for index in range(sizes.layers):
        layer = {name: weights[f"{index}.{name}"] for name in ("query", "key", "value", "output", "gate", "up", "down")}
        hidden = hidden + _attended(sizes, layer, rms_norm(hidden, (sizes.width,)))
        normed = rms_norm(hidden, (sizes.width,))
        activated = silu(linear(normed, layer["gate"])) * linear(normed, layer["up"])
        hidden = hidden + linear(activated, layer["down"])
    logits = linear(rms_norm(hidden, (sizes.width,)), weights["head"])[:, :-1].flatten(0, 1)
    return cross_entropy(logits.float() if logits.dtype.itemsize < 4 else logits, ids[:, 1:].flatten())


def _attended(sizes: Sizes, layer: "dict[str, torch.Tensor]", hidden: "torch.Tensor") -> "torch.Tensor":
    from torch.nn.functional import linear, scaled_dot_product_attention

    query, key, value = (
        linear(hidden, layer[name]).unflatten(-1, (sizes.heads, -1)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    attended = scaled_dot_product_attention(query, key, value, is_causal=True)
    return linear(attended.transpose(1, 2).flatten(2), layer["output"])
