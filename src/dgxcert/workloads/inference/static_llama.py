"""Static Llama: a transformers Llama's own weights with fixed shapes, joined matmuls and a KV cache that never grows.

This is the `tuned` path. Each layer is one function, compiled once for all layers where that is asked for, and on a GPU
a whole decoding step is one CUDA graph, so that what is timed is the device and not the host that feeds it.

Shapes in this module: `tokens` is the number of positions of a prompt, `max_length` that of prompt and completion, and
`hidden` the width of the model.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.machine.device import Device
from dgxcert.workloads.models import int4, linear_kernels
from dgxcert.workloads.models.linear_kernels import LinearKernel, Weights

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 3
"""Decoding steps before a CUDA graph is captured."""


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


class StaticLlama:
    """A Llama with a KV cache for `batch` rows of `max_length` tokens; it decodes greedily.

    `start_decode` fills the cache with prompts, after which each `decode_one_token` appends a token to every row.
    """

    def __init__(self, model: Any, device: Device, precision: str, batch: int, max_length: int, *, compiled: bool):
        self._model, self._device, self.precision = model, device, precision
        self.hidden: int = model.config.hidden_size
        self.dims = LlamaDims.of(model.config)
        self._dense = linear_kernels.dense(device, model.lm_head.weight.dtype)
        self._linear = linear_kernels.QUANTISED.get(precision, self._dense)
        self.packed = int4.replace_weights(model) if precision == INT4 else {}
        """int4: packed weights and scales by the name of the linear layer."""
        self._layers = [
            self._layer_weights(layer, f"model.layers.{index}") for index, layer in enumerate(model.model.layers)
        ]
        self._allocate(batch, max_length)
        self._prefill_layer, self._decode_layer = self._prefill_layer_eager, self._decode_layer_eager
        if compiled and precision != NF4:  # bitsandbytes' layers choose their kernels in Python
            self._compile(batch)
        self._graph: Any = None

    def _allocate(self, batch: int, max_length: int) -> None:
        """The tensors that a step reads and writes; a CUDA graph replays on these addresses, so they never move."""
        import torch

        dims, dtype, where = self.dims, self._model.lm_head.weight.dtype, self._device.name
        # One tensor per layer, so that one kernel writes a token's key and value: [0] are keys, [1] values.
        kv_shape = (2, batch, dims.kv_heads, max_length, dims.head_dim)
        self.kv_cache = [torch.zeros(kv_shape, dtype=dtype, device=where) for _ in self._layers]
        self._positions = torch.arange(max_length, device=where)
        with torch.no_grad():
            like = torch.zeros(1, 1, 1, dtype=dtype, device=where)  # tells transformers the type and the device
            cos, sin = self._model.model.rotary_emb(like, self._positions[None])
        self._cos, self._sin = cos[0], sin[0]  # (max_length, head_dim)
        self._token = torch.zeros(batch, 1, dtype=torch.long, device=where)
        # Positions live on the device: a number of the host would be baked into the graph.
        self._position = torch.zeros(1, dtype=torch.long, device=where)
        self._start = torch.zeros(1, dtype=torch.long, device=where)
        self.generated = torch.zeros(batch, max_length, dtype=torch.long, device=where)
        """Tokens of the completion, (batch, max_length); values behind the last one mean nothing."""
        self.logits = torch.zeros(batch, self._model.config.vocab_size, dtype=dtype, device=where)
        """Logits of the last decoding step, (batch, vocabulary)."""

    def _compile(self, batch: int) -> None:
        """Replace both layer functions by their compiled forms; each is compiled once, for all layers."""
        import torch

        # What was compiled for an earlier model counts against torch's limit of recompilations per function.
        torch.compiler.reset()
        options = _decode_options(self._device, self.precision, batch)
        self._prefill_layer = torch.compile(self._prefill_layer_eager, fullgraph=True, dynamic=False, options={})
        self._decode_layer = torch.compile(self._decode_layer_eager, fullgraph=True, dynamic=False, options=options)

    def _prefill_layer_eager(self, *inputs: Any) -> "torch.Tensor":
        return prefill_layer(self._linear, self.dims, *inputs)

    def _decode_layer_eager(self, *inputs: Any) -> "torch.Tensor":
        return decode_layer(self._linear, self.dims, *inputs)

    def _layer_weights(self, layer: Any, name: str) -> LayerWeights:
        attention, mlp = layer.self_attn, layer.mlp
        return LayerWeights(
            input_norm=layer.input_layernorm.weight.detach(),
            qkv_proj=self._joined(name, attention.q_proj, attention.k_proj, attention.v_proj),
            o_proj=self._joined(name, attention.o_proj),
            post_attention_norm=layer.post_attention_layernorm.weight.detach(),
            gate_up_proj=self._joined(name, mlp.gate_proj, mlp.up_proj),
            down_proj=self._joined(name, mlp.down_proj),
        )

    def _joined(self, layer_name: str, *linears: Any) -> Weights:
        """Linear layers that read the same input, as one matrix of all their rows."""
        import torch

        if self.precision == NF4:  # bitsandbytes quantises per layer; its kernels run one after another
            return linears
        if self.precision == INT4:
            modules = self._model.named_modules()
            names = {module: name for name, module in modules if name.startswith(f"{layer_name}.")}
            packed, scales = zip(*(self.packed[names[linear]] for linear in linears), strict=True)
            return torch.cat(packed), torch.cat(scales, 1)
        joined = torch.cat([linear.weight.detach() for linear in linears])
        # The model's own layers become views of the joined matrix, so that no second copy of the weights exists.
        parts = joined.split([linear.out_features for linear in linears])
        for linear, rows in zip(linears, parts, strict=True):
            linear.weight.data = rows
        return (joined,)

    def prefill(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Fill the KV cache from prompts (batch, tokens); the logits after their last token, (batch, vocabulary)."""
        import torch

        tokens = ids.shape[1]
        with torch.no_grad():
            hidden = self._model.model.embed_tokens(ids)
            for layer, kv_cache in zip(self._layers, self.kv_cache, strict=True):
                hidden = self._prefill_layer(hidden, layer, kv_cache, self._cos[:tokens], self._sin[:tokens])
            return self._lm_head(hidden[:, -1])  # of the last position only: a prompt's other logits are never read

    def _lm_head(self, hidden: "torch.Tensor") -> "torch.Tensor":
        return self._dense(self._model.model.norm(hidden), (self._model.lm_head.weight,))

    def start_decode(self, ids: "torch.Tensor") -> None:
        """Prefill prompts (batch, tokens) but for their last token, and on a GPU capture a decoding step.

        The first step reads that last token, so that every token of the completion comes from the same graph.
        """
        import torch

        if ids.shape[1] > 1:
            self.prefill(ids[:, :-1])
        self._start.fill_(ids.shape[1] - 1)
        self._last_prompt_token = ids[:, -1:].clone()
        self.rewind()
        if self._device.kind == "cuda":
            with torch.cuda.device(self._device.index):  # graphs are captured on the current device
                self._capture_graph()
            self.rewind()

    def _capture_graph(self) -> None:
        import torch

        # Warm up on a side stream, as torch's CUDA graph notes demand: libraries choose their kernels and allocate
        # their workspace in the first steps, which must not happen while a graph is captured.
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream), torch.no_grad():
            for _ in range(WARM_UP_STEPS):
                self._forward_one_token()
        torch.cuda.current_stream().wait_stream(side_stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._forward_one_token()

    def rewind(self) -> None:
        """Go back to the end of the prompts; the next steps overwrite the tokens and the cache behind it."""
        self._token.copy_(self._last_prompt_token)
        self._position.copy_(self._start)

    def decode_one_token(self) -> None:
        """Append one token to each row; does not wait for the device."""
        import torch

        if self._graph is not None:
            self._graph.replay()
            return
        with torch.no_grad():
            self._forward_one_token()

    def _forward_one_token(self) -> None:
        """One step, all of it on the device: a step that waited for the host could not be captured."""
        hidden = self._model.model.embed_tokens(self._token)
        at_position = self._at_position()
        for layer, kv_cache in zip(self._layers, self.kv_cache, strict=True):
            hidden = self._decode_layer(hidden, layer, kv_cache, *at_position)
        self.logits.copy_(self._lm_head(hidden[:, -1]))
        self._token.copy_(self.logits.argmax(-1, keepdim=True))
        self.generated.index_copy_(1, self._position - self._start, self._token)
        self._position.add_(1)

    def _at_position(self) -> "tuple[torch.Tensor, ...]":
        """What a step's layers are told of its position: cos, sin, the position itself, and what is visible from it."""
        cos, sin = (table.index_select(0, self._position) for table in (self._cos, self._sin))
        return cos, sin, self._position, self._positions <= self._position

    def run_decode_layer(
        self, index: int, hidden: "torch.Tensor", weights: LayerWeights, position: int
    ) -> "torch.Tensor":
        """One layer of a decoding step by the function of the timed steps, on the layer's own KV cache.

        `hidden` is of shape (batch, 1, hidden).
        """
        import torch

        self._position.fill_(position)
        with torch.no_grad():
            return self._decode_layer(hidden, weights, self.kv_cache[index], *self._at_position())

    def run_prefill_layer(self, index: int, hidden: "torch.Tensor", weights: LayerWeights) -> "torch.Tensor":
        """One layer of a prefill of hidden states (batch, tokens, hidden), likewise."""
        import torch

        cos, sin = self._cos[: hidden.shape[1]], self._sin[: hidden.shape[1]]
        with torch.no_grad():
            return self._prefill_layer(hidden, weights, self.kv_cache[index], cos, sin)

    def layer_weights(self, index: int) -> LayerWeights:
        """The weights of a layer."""
        return self._layers[index]

    @property
    def lm_head_weight(self) -> "torch.Tensor":
        """The matrix of lm_head, whose type and device are those of the hidden states."""
        weight: torch.Tensor = self._model.lm_head.weight.detach()
        return weight

    @property
    def down_proj_shape(self) -> tuple[int, int]:
        """(hidden, intermediate)."""
        return self.hidden, self._model.config.intermediate_size

    def rotary(self, positions: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """cos and sin of half a head (tokens, head_dim / 2) in fp64, from the inverse frequencies of the model.

        Independent of the tables that the layers read.
        """
        angles = positions.double()[:, None] * self._model.model.rotary_emb.inv_freq.double()
        return angles.cos(), angles.sin()


def _decode_options(device: Device, precision: str, batch: int) -> dict[str, Any]:
    """inductor's options for a decoding step."""
    # Matmuls of one row become reductions that fuse with what surrounds them, tuned by trial: 221 token/s of an 8 B
    # model on an H200 against 207 by cuBLAS. Elsewhere it gains nothing and takes as long again to compile.
    one_row = batch == 1 and precision not in (INT4, NF4)
    return {"coordinate_descent_tuning": True} if device.kind == "cuda" and one_row else {}


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
    return hidden + _mlp(linear, dims, hidden, layer)


def decode_layer(
    linear: LinearKernel,
    dims: LlamaDims,
    hidden: "torch.Tensor",
    layer: LayerWeights,
    kv_cache: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
    position: "torch.Tensor",
    visible: "torch.Tensor",
) -> "torch.Tensor":
    """A decoder layer over one token of each row (batch, 1, hidden), at `position` (1,) of its KV cache.

    `visible` (max_length,) is true up to this position; `cos` and `sin` are of shape (1, head_dim).
    """
    query, key_value = _project_qkv(linear, dims, hidden, layer, cos, sin)
    kv_cache.index_copy_(3, position, key_value)
    hidden = hidden + linear(_decode_attention(dims, query, kv_cache, visible), layer.o_proj)
    return hidden + _mlp(linear, dims, hidden, layer)


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


def _mlp(linear: LinearKernel, dims: LlamaDims, hidden: "torch.Tensor", layer: LayerWeights) -> "torch.Tensor":
    """The gated MLP (SwiGLU) after its norm: (batch, tokens, hidden)."""
    import torch

    normed = torch.nn.functional.rms_norm(hidden, hidden.shape[-1:], layer.post_attention_norm, dims.norm_eps)
    gate, up = linear(normed, layer.gate_up_proj).chunk(2, -1)
    return linear(torch.nn.functional.silu(gate) * up, layer.down_proj)
