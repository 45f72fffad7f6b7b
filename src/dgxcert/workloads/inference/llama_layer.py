"""Llama layer: the arithmetic of a decoder layer with fixed shapes, over a whole prompt or over one token of each row.

Shapes in this module: `tokens` is the number of positions of a prompt, `max_length` that of prompt and completion, and
`hidden` the width of the model.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dgxcert.workloads.inference import decode_steps, fused_products
from dgxcert.workloads.inference.decode_steps import Steps
from dgxcert.workloads.inference.fused_products import Norm
from dgxcert.workloads.models.linear_kernels import LinearKernel, Weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LlamaDims:
    """The numbers of a Llama's config.json that a layer's arithmetic needs."""

    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float

    @classmethod
    def of(cls, config: Any) -> "LlamaDims":
        """The dimensions in a transformers `LlamaConfig`.

        >>> from transformers import LlamaConfig
        >>> LlamaDims.of(LlamaConfig(hidden_size=512, num_attention_heads=8, num_key_value_heads=4))
        LlamaDims(heads=8, kv_heads=4, head_dim=64, norm_eps=1e-06)
        """
        return cls(
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            norm_eps=float(config.rms_norm_eps),
        )


class LayerWeights(NamedTuple):
    """The tensors of one decoder layer; matrices that read the same input are joined into one matmul.

    - `input_norm`: (hidden,)
    - `qkv_proj`: ((heads + 2 kv_heads) head_dim, hidden), rows of queries, keys and values
    - `o_proj`: (hidden, heads head_dim)
    - `post_attention_norm`: (hidden,)
    - `gate_up_proj`: (2 intermediate, hidden)
    - `down_proj`: (hidden, intermediate)

    Matrices are in the form that the precision's `LinearKernel` takes.
    """

    input_norm: "torch.Tensor"
    qkv_proj: Weights
    o_proj: Weights
    post_attention_norm: "torch.Tensor"
    gate_up_proj: Weights
    down_proj: Weights


@dataclass(frozen=True)
class Fused:
    """The decode steps that change the functions of a step, as a compiler can read them."""

    activation_once: bool = False
    norm: bool = False
    rotary: bool = False
    argmax: bool = False

    @classmethod
    def of(cls, steps: Steps) -> "Fused":
        """Those among some steps.

        >>> Fused.of(frozenset({decode_steps.FUSED_NORM}))
        Fused(activation_once=False, norm=True, rotary=False, argmax=False)
        """
        return cls(
            activation_once=decode_steps.ACTIVATION_ONCE in steps,
            norm=decode_steps.FUSED_NORM in steps,
            rotary=decode_steps.FUSED_ROTARY in steps,
            argmax=decode_steps.BLOCK_ARGMAX in steps,
        )


class DecodeForm:
    """The functions of a decoding step in one form: a layer, and the head with the choice of a token."""

    def __init__(
        self, linear: LinearKernel, dense: LinearKernel, dims: LlamaDims, fused: Fused, options: dict[str, Any] | None
    ) -> None:
        self.fused = fused
        self._linear, self._dense, self._dims = linear, dense, dims
        self._whole, self._first, self._last, self.head = self._layer, self._until_activation, self._down, self._choose
        if options is not None:
            self._whole, self._first = _compiled(self._whole, options), _compiled(self._first, options)
            self._last, self.head = _compiled(self._last, options), _compiled(self.head, options)

    def layer(self, hidden: "torch.Tensor", layer: LayerWeights, *cache_and_position: Any) -> "torch.Tensor":
        """A decoder layer, see `decode_layer`."""
        if not self.fused.activation_once:
            return self._whole(hidden, layer, *cache_and_position)
        # Two functions, since a compiler would take the activation into the product that reads it.
        hidden, activation = self._first(hidden, layer, *cache_and_position)
        return self._last(hidden, activation, layer.down_proj)

    def _layer(self, *inputs: Any) -> "torch.Tensor":
        return decode_layer(self._linear, self._dims, self.fused, *inputs)

    def _until_activation(self, hidden: "torch.Tensor", layer: LayerWeights, *cache_and_position: Any) -> Any:
        hidden = attend(self._linear, self._dims, self.fused, hidden, layer, *cache_and_position)
        return hidden, _activation(self._linear, self._dims, self.fused, hidden, layer)

    def _down(self, hidden: "torch.Tensor", activation: "torch.Tensor", down_proj: Weights) -> "torch.Tensor":
        return hidden + self._linear(activation, down_proj)

    def _choose(self, hidden: "torch.Tensor", norm: "torch.Tensor", lm_head: "torch.Tensor") -> Any:
        """Logits (batch, vocabulary) and the next token of each row, (batch, 1)."""
        import torch

        if hidden.shape[0] == 1:
            scale = Norm(norm, self._dims.norm_eps)
            logits = fused_products.logits(hidden, scale, lm_head, fused_norm=self.fused.norm)
        else:
            normed = torch.nn.functional.rms_norm(hidden[:, -1], hidden.shape[-1:], norm, self._dims.norm_eps)
            logits = self._dense(normed, (lm_head,))
        return logits, fused_products.block_argmax(logits)


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """A function that is compiled at its first call, apart from others that share its code, if torch can do that."""
    import torch

    known = inspect.signature(torch.compile).parameters
    apart: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in known else {}
    compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False, options=options, **apart)
    return compiled


def prefill_layer(
    linear: LinearKernel,
    dims: LlamaDims,
    hidden: "torch.Tensor",
    layer: LayerWeights,
    kv_cache: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
) -> "torch.Tensor":
    """A decoder layer over whole prompts (batch, tokens, hidden); writes the first `tokens` positions of its KV cache.

    The cache is of shape (2, batch, kv_heads, max_length, head_dim); `cos` and `sin` are of shape (tokens, head_dim).
    """
    query, key_value = _project_qkv(linear, dims, hidden, layer, cos, sin)
    kv_cache[:, :, :, : hidden.shape[1]] = key_value
    hidden = hidden + linear(_prefill_attention(dims, query, key_value), layer.o_proj)
    return hidden + linear(_activation(linear, dims, Fused(), hidden, layer), layer.down_proj)


def decode_layer(
    linear: LinearKernel, dims: LlamaDims, fused: Fused, hidden: "torch.Tensor", layer: LayerWeights, *at: Any
) -> "torch.Tensor":
    """A decoder layer over one token of each row (batch, 1, hidden); `at` is what `attend` takes after the weights."""
    hidden = attend(linear, dims, fused, hidden, layer, *at)
    return hidden + linear(_activation(linear, dims, fused, hidden, layer), layer.down_proj)


def attend(
    linear: LinearKernel,
    dims: LlamaDims,
    fused: Fused,
    hidden: "torch.Tensor",
    layer: LayerWeights,
    kv_cache: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
    position: "torch.Tensor",
    visible: "torch.Tensor",
) -> "torch.Tensor":
    """The attention of a layer added to its input (batch, 1, hidden), at `position` (1,) of its KV cache.

    `visible` (max_length,) is true up to this position; `cos` and `sin` are of shape (1, head_dim).
    """
    query, key_value = _decode_qkv(linear, dims, fused, hidden, layer, cos, sin)
    kv_cache.index_copy_(3, position, key_value)
    return hidden + linear(_decode_attention(dims, query, kv_cache, visible), layer.o_proj)


def _decode_qkv(
    linear: LinearKernel,
    dims: LlamaDims,
    fused: Fused,
    hidden: "torch.Tensor",
    layer: LayerWeights,
    cos: "torch.Tensor",
    sin: "torch.Tensor",
) -> "tuple[torch.Tensor, torch.Tensor]":
    """What `_project_qkv` returns, for one token of each row."""
    import torch

    if not (fused.norm or fused.rotary):
        return _project_qkv(linear, dims, hidden, layer, cos, sin)
    norm, matrix = Norm(layer.input_norm, dims.norm_eps), layer.qkv_proj[0]
    if fused.rotary:
        values = dims.kv_heads
        heads = fused_products.rotated_qkv(hidden, norm, matrix, cos, sin, values, fused_norm=fused.norm)
        query, key_value = heads.split([dims.heads, 2 * dims.kv_heads], 1)
        return query, key_value.reshape(2, 1, dims.kv_heads, 1, dims.head_dim)
    heads = fused_products.qkv(hidden, norm, matrix, dims.head_dim, fused_norm=fused.norm)
    query, key, value = heads.split([dims.heads, dims.kv_heads, dims.kv_heads], 1)
    return apply_rotary_emb(query, cos, sin), torch.stack([apply_rotary_emb(key, cos, sin), value])


def _project_qkv(
    linear: LinearKernel,
    dims: LlamaDims,
    hidden: "torch.Tensor",
    layer: LayerWeights,
    cos: "torch.Tensor",
    sin: "torch.Tensor",
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Queries (batch, heads, tokens, head_dim), and keys and values (2, batch, kv_heads, tokens, head_dim)."""
    import torch

    normed = torch.nn.functional.rms_norm(hidden, hidden.shape[-1:], layer.input_norm, dims.norm_eps)
    qkv = linear(normed, layer.qkv_proj).unflatten(-1, (-1, dims.head_dim)).transpose(1, 2)
    query, key, value = qkv.split([dims.heads, dims.kv_heads, dims.kv_heads], 1)
    return apply_rotary_emb(query, cos, sin), torch.stack([apply_rotary_emb(key, cos, sin), value])


def apply_rotary_emb(x: "torch.Tensor", cos: "torch.Tensor", sin: "torch.Tensor") -> "torch.Tensor":
    """Rotary position embedding (RoFormer, arXiv:2104.09864) of heads (..., tokens, head_dim).

    As in transformers the two halves of a head are rotated against each other, not neighbouring pairs.

    >>> import torch
    >>> apply_rotary_emb(torch.tensor([[1.0, 2.0]]), cos=torch.zeros(1, 2), sin=torch.ones(1, 2))  # by 90 degrees
    tensor([[-2.,  1.]])
    """
    import torch

    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def _prefill_attention(dims: LlamaDims, query: "torch.Tensor", key_value: "torch.Tensor") -> "torch.Tensor":
    """Causal attention of prompts, by torch's fused kernel: (batch, tokens, heads head_dim)."""
    import torch

    key, value = key_value
    attended = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, enable_gqa=dims.heads != dims.kv_heads
    )
    return attended.transpose(1, 2).flatten(2)


def _decode_attention(
    dims: LlamaDims, query: "torch.Tensor", kv_cache: "torch.Tensor", visible: "torch.Tensor"
) -> "torch.Tensor":
    """Attention of one token of each row over the visible positions of the cache: (batch, 1, heads head_dim)."""
    key, value = kv_cache
    batch = query.shape[0]
    # Queries that share a key are rows of one matmul, so that each key and value is read once.
    grouped = query.reshape(batch, dims.kv_heads, -1, dims.head_dim)
    scores = (grouped @ key.transpose(2, 3)).float() * dims.head_dim**-0.5  # softmax in fp32, as transformers does
    weights = scores.masked_fill(~visible, float("-inf")).softmax(-1).to(query.dtype)
    return (weights @ value).reshape(batch, 1, -1)


def _activation(
    linear: LinearKernel, dims: LlamaDims, fused: Fused, hidden: "torch.Tensor", layer: LayerWeights
) -> "torch.Tensor":
    """The activation of the gated MLP (SwiGLU) after its norm: (batch, tokens, intermediate)."""
    import torch

    if fused.activation_once or fused.norm:
        norm = Norm(layer.post_attention_norm, dims.norm_eps)
        return fused_products.activation(hidden, norm, layer.gate_up_proj[0], fused_norm=fused.norm)
    normed = torch.nn.functional.rms_norm(hidden, hidden.shape[-1:], layer.post_attention_norm, dims.norm_eps)
    gate, up = linear(normed, layer.gate_up_proj).chunk(2, -1)
    return torch.nn.functional.silu(gate) * up
