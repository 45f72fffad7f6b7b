"""A small Llama-like model with adapters, of which one is used by the first rank alone and one by none."""

from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.workloads.training.data_parallel.shards import Rows, Sizes

if TYPE_CHECKING:
    import torch

FIRST_ONLY, UNUSED = "first_rank_only", "unused"
"""Trained parameters that not every rank, and no rank uses: what find_unused_parameters is for."""
STD = 0.02


def build(device: Device, sizes: Sizes, seed: int) -> Any:
    """The model in fp32 on a device; the same weights for the same seed on every kind of device."""
    import torch

    model = _module(sizes)
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        for name, values in sorted(model.named_parameters()):
            std = STD if name in (FIRST_ONLY, UNUSED) or "lora" in name else values.shape[-1] ** -0.5
            values.copy_(std * torch.randn(values.shape, generator=generator))
    return model.to(device.name)


def _adapted(sizes: Sizes) -> Any:
    """A frozen linear layer with a LoRA adapter."""
    import torch
    from torch import nn

    class Adapted(nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(sizes.hidden, sizes.hidden), requires_grad=False)
            self.lora_A = nn.Parameter(torch.empty(sizes.rank, sizes.hidden))
            self.lora_B = nn.Parameter(torch.empty(sizes.hidden, sizes.rank))

        def forward(self, inputs: "torch.Tensor") -> "torch.Tensor":
            outputs: torch.Tensor = inputs @ self.weight.T + inputs @ self.lora_A.T @ self.lora_B.T
            return outputs

    return Adapted()


def _layer(sizes: Sizes) -> Any:
    """Causal attention with a residual; adapters on queries and values, as usual."""
    from torch import nn
    from torch.nn import functional

    class Layer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.q_proj, self.v_proj = _adapted(sizes), _adapted(sizes)

        def forward(self, inputs: "torch.Tensor") -> "torch.Tensor":
            normed = functional.rms_norm(inputs, (sizes.hidden,))
            query, key, value = (
                each.unflatten(2, (sizes.heads, -1)).transpose(1, 2)
                for each in (self.q_proj(normed), normed, self.v_proj(normed))
            )
            attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            return inputs + attended.transpose(1, 2).flatten(2)

    return Layer()


def _module(sizes: Sizes) -> Any:
    """Next-token logits of rows (rows, tokens); `first` says whether they are the first rank's."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Parameter(torch.empty(sizes.vocabulary, sizes.hidden), requires_grad=False)
            self.layers = nn.ModuleList(_layer(sizes) for _ in range(sizes.layers))
            self.first_rank_only = nn.Parameter(torch.empty(sizes.hidden))
            self.unused = nn.Parameter(torch.empty(sizes.hidden))

        def forward(self, ids: "torch.Tensor", first: bool) -> "torch.Tensor":
            states = self.embedding[ids]
            if first:
                states = states + self.first_rank_only
            for layer in self.layers:
                states = layer(states)
            logits: torch.Tensor = functional.rms_norm(states, (sizes.hidden,)) @ self.embedding.T
            return logits

    return Model()


def loss(model: Any, device: Device, batch: Rows, *, first: bool) -> "torch.Tensor":
    """Cross entropy of the next tokens of rows, summed over all of them."""
    import torch

    width = max(map(len, batch))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in batch], device=device.name)
    lengths = torch.tensor([len(row) for row in batch], device=device.name)
    later = torch.arange(1, width, device=device.name)
    labels = ids[:, 1:].masked_fill(later >= lengths[:, None], -100)
    logits = model(ids, first)[:, :-1]  # rows are padded on the right, which causal attention does not see
    total: torch.Tensor = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    return total
