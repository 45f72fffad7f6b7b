"""Attention probe: the attention of the tuned Llama's own layers, alone, compared with fp64 for every layer and head.

The logits of a model hardly change where a few keys of a long context are lost: the MLPs outweigh attention, and random
weights spread it evenly. So each layer function of the timed rounds, compiled or not, is called once more with weights
that let attention through alone (an identity for o_proj, zeros for down_proj), and its output of each head is judged.
One key lost of n changes a head's output by 1 in sqrt(n): 2.2 % of 2048.

What is called is the function that the timed rounds call, with the same shapes and with each layer's own KV cache, but
not the CUDA graph that replays it: only the logits of the timed rounds cover the graph.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

from dgxcert.judgement.benchmark_cases import INT4
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Wrong
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.models.architectures import Shape

if TYPE_CHECKING:
    import torch

SEED = 5
SCALE = 1e-3
"""Of the hidden states: far below what attention adds to them, so that their rounding does not hide it."""
SPREAD = 0.5
"""Standard deviation of the scores. Each key gets about as much weight as any other, so that each one counts."""
TILE = 16
"""Queries of a prompt of which one is compared with fp64: no fused kernel has smaller tiles of queries."""
ROWS_AT_A_TIME = 64
"""Queries whose scores are kept at a time: those of a long prompt would take gigabytes."""

ERRORS = {
    "fp32": (1e-4, "3.4e-6 measured on a CPU: another order of summation changes the last bits"),
    "fp16": (4e-3, "8e-4 measured on a CPU; in long contexts the weights of keys, below 6e-5, have fewer bits"),
    "bf16": (
        1.5e-2,
        "7.6e-3 measured on a CPU, 9.3e-3 with int4 weights: queries, keys, weights and result are rounded to 8 bits, "
        "and the worst of thousands of heads is seen; that times 1.6",
    ),
}
"""Relative error of the output of one head for one query against fp64."""


class ProbeError(NamedTuple):
    """The worst head of all layers: its relative error, and where it is."""

    error: float
    where: str


def tolerance(compute: str) -> Limit:
    """Limit of the relative error of the worst head.

    >>> tolerance("bf16").max
    0.015
    """
    value, source = ERRORS[compute]
    return Limit(name=f"tolerance of {compute} attention heads", max=value, unit="relative", source=source)


def working_bytes(shape: Shape, rows: int, length: int, tokens: int) -> float:
    """Bytes that a probe of so many tokens of each row takes beside weights, cache and activations.

    >>> from dgxcert.workloads.models.architectures import find
    >>> f"{working_bytes(find('llama-3.1-8b'), 1, 8192, 8192) / 2**30:.1f} GiB"
    '3.3 GiB'
    """
    key_value = 2 * shape.kv_heads * shape.head_dim
    exact = rows * (3 * key_value * length + 5 * shape.hidden * tokens) * 8.0
    scores = 3.0 * min(tokens, ROWS_AT_A_TIME) * rows * shape.heads * length * 8
    weights = 12.0 * shape.hidden * (2 * shape.hidden + key_value) + 16.0 * shape.hidden * shape.intermediate
    return exact + scores + weights


def decode_error(tuned: StaticLlama, positions: tuple[int, ...]) -> ProbeError:
    """The worst head of a decoding step at these positions of the cache, over all rows and layers.

    Overwrites the KV cache. Raises Wrong for values that are not finite.
    """
    probe = _Probe(tuned)
    worst = []
    for position in positions:
        hidden, cache = probe.hidden(1), probe.cache()
        attended, key_value = probe.exact_decode(hidden, cache, position)
        for index, kv_cache in enumerate(tuned.kv_cache):
            kv_cache.copy_(cache)
            output = tuned.run_decode_layer(index, hidden, probe.weights, position)
            where = f"layer {index}, position {position}"
            worst.append(probe.worst(output - hidden, attended, where))
            worst.append(_worst(kv_cache[:, :, :, position], key_value, f"{where}, stored keys and values"))
    return max(worst)


def prefill_error(tuned: StaticLlama, tokens: int) -> ProbeError:
    """The worst head of prompts of so many tokens, over all rows and layers; of every 16 queries one is judged by fp64.

    All others are compared with those of the first layer, whose input is the same. Overwrites the KV cache. Raises
    Wrong for values that are not finite.
    """
    probe = _Probe(tuned)
    hidden, queries = probe.hidden(tokens), probe.queries(tokens)
    attended, key_value = probe.exact_prefill(hidden, queries)
    worst, first = [], None
    for index in probe.layers:
        tuned.kv_cache[index].zero_()
        output = tuned.run_prefill_layer(index, hidden, probe.weights) - hidden
        where = f"layer {index} of prompts of {tokens} tokens"
        worst.append(probe.worst(output[:, queries], attended, where))
        worst.append(_worst(tuned.kv_cache[index][:, :, :, :tokens], key_value, f"{where}, stored keys and values"))
        first = output if first is None else first
        worst.append(probe.worst(output, first, f"{where}, where it differs from the first layer"))
    return max(worst)


class _Probe:
    """Weights and inputs of the probe, and what attention must give for them. Everything exact is in fp64."""

    def __init__(self, tuned: StaticLlama) -> None:
        import torch

        self._tuned, self._dims = tuned, tuned.dims
        self._weight = tuned.lm_head_weight
        self._generator = torch.Generator(self._weight.device).manual_seed(SEED)
        heads, width = tuned.dims.heads + 2 * tuned.dims.kv_heads, tuned.hidden
        scale = torch.ones(heads, 1, 1, device=self._weight.device)
        scale[: tuned.dims.heads] = SPREAD
        projections = self._random(heads, tuned.dims.head_dim, width) * scale.to(self._weight.dtype) * width**-0.5
        qkv_proj, self._qkv_proj = tuned.form.of(projections.flatten(0, 1))
        o_proj, self._o_proj = tuned.form.of(torch.eye(width, device=self._weight.device, dtype=self._weight.dtype))
        real = tuned.layer_weights(0)
        norm = torch.full_like(real.input_norm, math.sqrt(1 + tuned.dims.norm_eps / SCALE**2))
        self._norm = norm.double()
        down_proj, _ = tuned.form.of(torch.zeros(tuned.down_proj_shape, device=norm.device, dtype=self._weight.dtype))
        self.weights = real._replace(input_norm=norm, qkv_proj=qkv_proj, o_proj=o_proj, down_proj=down_proj)
        """Weights of a layer that adds its attention to its input, and nothing else."""

    def _random(self, *shape: int) -> "torch.Tensor":
        import torch

        dtype, device = self._weight.dtype, self._weight.device
        return torch.randn(shape, generator=self._generator, device=device, dtype=torch.float32).to(dtype)

    @property
    def layers(self) -> list[int]:
        """The layers whose prefill is judged: with int4, a few, since PyTorch's kernel is slow for many rows."""
        last = len(self._tuned.kv_cache) - 1
        return sorted({0, last // 2, last}) if self._tuned.precision == INT4 else list(range(last + 1))

    def hidden(self, tokens: int) -> "torch.Tensor":
        """Random hidden states (batch, tokens, hidden)."""
        return self._random(self._tuned.kv_cache[0].shape[1], tokens, self._tuned.hidden) * SCALE

    def cache(self) -> "torch.Tensor":
        """A random KV cache, also behind the position: whoever sees what he must not see gets something else."""
        return self._random(*self._tuned.kv_cache[0].shape)

    def queries(self, tokens: int) -> "torch.Tensor":
        """One position of every tile of queries at random, and the last one."""
        import torch

        starts = torch.arange(0, tokens, TILE, device=self._weight.device)
        offsets = torch.randint(0, TILE, starts.shape, generator=self._generator, device=self._weight.device)
        return torch.cat([(starts + offsets).clamp(max=tokens - 1), starts.new_tensor([tokens - 1])]).unique()

    def exact_decode(
        self, hidden: "torch.Tensor", cache: "torch.Tensor", position: int
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """What a step adds to its input, (batch, 1, hidden), and the key and value that it stores."""
        import torch

        at = torch.tensor([position], device=hidden.device)
        query, key_value = self._project(hidden, at)
        known = torch.cat([cache[:, :, :, :position].double(), key_value], 3)
        return self._attend(query, known, at), key_value[:, :, :, 0]

    def exact_prefill(self, hidden: "torch.Tensor", queries: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """What these positions of the prompts add to their input, and all keys and values."""
        import torch

        _, key_value = self._project(hidden, torch.arange(hidden.shape[1], device=hidden.device))
        query, _ = self._project(hidden[:, queries], queries)
        pieces = zip(query.split(ROWS_AT_A_TIME, 2), queries.split(ROWS_AT_A_TIME), strict=True)
        return torch.cat([self._attend(rows, key_value, at) for rows, at in pieces], 1), key_value

    def _project(self, hidden: "torch.Tensor", at: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Queries (batch, heads, tokens, head_dim), and keys and values (2, batch, kv_heads, tokens, head_dim)."""
        import torch

        dims, exact = self._dims, hidden.double()
        normed = exact * (exact.square().mean(-1, keepdim=True) + dims.norm_eps).rsqrt() * self._norm
        qkv = (normed @ self._qkv_proj.T).unflatten(-1, (-1, dims.head_dim)).transpose(1, 2)
        query, key, value = qkv.split([dims.heads, dims.kv_heads, dims.kv_heads], 1)
        cos, sin = self._tuned.rotary(at)
        return _rotate(query, cos, sin), torch.stack([_rotate(key, cos, sin), value])

    def _attend(self, query: "torch.Tensor", key_value: "torch.Tensor", at: "torch.Tensor") -> "torch.Tensor":
        """softmax(QK^T / sqrt(d)) V through o_proj; a query at a position sees the keys up to it."""
        import torch

        key, value = key_value[:, :, :, None]
        grouped = query.unflatten(1, (self._dims.kv_heads, -1))
        scores = grouped @ key.transpose(-1, -2) / self._dims.head_dim**0.5
        unseen = torch.arange(key.shape[-2], device=at.device) > at[:, None]
        attended = scores.masked_fill(unseen, float("-inf")).softmax(-1) @ value
        return attended.flatten(1, 2).transpose(1, 2).flatten(2) @ self._o_proj.T

    def worst(self, actual: "torch.Tensor", exact: "torch.Tensor", where: str) -> ProbeError:
        """The worst head of outputs (batch, tokens, hidden)."""
        by_head, expected = (each.unflatten(-1, (-1, self._dims.head_dim)).transpose(1, 2) for each in (actual, exact))
        return _worst(by_head, expected, where, AXES)


def _rotate(heads: "torch.Tensor", cos: "torch.Tensor", sin: "torch.Tensor") -> "torch.Tensor":
    """Rotary position embedding by complex multiplication, not by the function that is judged."""
    import torch

    first, second = heads.chunk(2, -1)
    turned = torch.complex(first, second) * torch.complex(cos, sin)
    return torch.cat([turned.real, turned.imag], -1)


AXES = ("row", "head", "token")
STORED = ("value", *AXES)
"""What the dimensions of errors mean; the first of what is stored is 0 for keys and 1 for values."""


def _worst(actual: "torch.Tensor", exact: "torch.Tensor", where: str, axes: tuple[str, ...] = STORED) -> ProbeError:
    """The worst relative error of vectors (..., head_dim), and its place by the names of their axes."""
    import torch

    difference, size = (actual.double() - exact.double()).norm(dim=-1), exact.double().norm(dim=-1)
    if not bool(difference.isfinite().all()):
        raise Wrong(f"attention of {where} has values that are not finite numbers")
    errors = difference / size.clamp(min=1e-30)  # the first layer's output is zero where it computed nothing
    place = torch.unravel_index(errors.argmax(), errors.shape)
    names = ", ".join(f"{name} {int(index)}" for name, index in zip(axes, place, strict=False))
    return ProbeError(float(errors.max()), f"{where}, {names}")
