"""Static Llama: a transformers Llama's own weights run with fixed shapes, fused products and a cache that never grows.

This is the `tuned` path: each layer is one function, compiled once for all layers where that is asked for, and on a GPU
a whole decoding step is one captured graph, so that what is timed is the device and not the host that feeds it.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.machine.device import Device
from dgxcert.workloads.models import int4, products
from dgxcert.workloads.models.products import Product, Weights

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 3
"""Before a graph is captured: libraries choose their kernels and take their workspace."""


class Layer(NamedTuple):
    """What one decoder layer holds; products that read the same input are one."""

    norm_in: "torch.Tensor"
    attend_in: Weights
    attend_out: Weights
    norm_out: "torch.Tensor"
    gate_up: Weights
    down: Weights


class Form(NamedTuple):
    """The numbers that a layer's arithmetic needs."""

    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float


class StaticLlama:
    """A model with room for `batch` rows of `length` tokens; it decodes greedily.

    Dense matrices that are joined stay the model's own: its layers become views of them, so that no copy exists.
    """

    def __init__(self, model: Any, device: Device, precision: str, batch: int, length: int, *, compiled: bool) -> None:
        import torch

        config, self._model, self._device = model.config, model, device
        self._form = Form(
            config.num_attention_heads, config.num_key_value_heads, config.head_dim, float(config.rms_norm_eps)
        )
        self._dense = products.dense(device, model.lm_head.weight.dtype)
        self._product = products.SMALLER.get(precision, self._dense)
        self.packed = int4.replace_weights(model) if precision == INT4 else {}
        self._layers = [
            self._layer(each, f"model.layers.{index}", precision) for index, each in enumerate(model.model.layers)
        ]
        kind, where = model.lm_head.weight.dtype, device.name
        size = (2, batch, self._form.kv_heads, length, self._form.head_dim)  # keys and values, written as one
        self._cache = [torch.zeros(size, dtype=kind, device=where) for _ in self._layers]
        places = torch.arange(length, device=where)
        with torch.no_grad():
            turned = model.model.rotary_emb(torch.zeros(1, 1, 1, dtype=kind, device=where), places[None])
        self._cos, self._sin = (each[0] for each in turned)
        self._places = places
        self._token = torch.zeros(batch, 1, dtype=torch.long, device=where)
        self._position = torch.zeros(1, dtype=torch.long, device=where)
        self._start = torch.zeros(1, dtype=torch.long, device=where)
        self.written = torch.zeros(batch, length, dtype=torch.long, device=where)
        self.logits = torch.zeros(batch, config.vocab_size, dtype=kind, device=where)
        """Of the last step."""
        self._whole, self._one = self._read, self._write
        if compiled and precision != NF4:  # bitsandbytes' layers choose their kernels in Python
            torch.compiler.reset()  # what was compiled for an earlier model counts against a limit per function
            self._whole, self._one = (
                torch.compile(each, fullgraph=True, dynamic=False, options=options)
                for each, options in ((self._read, {}), (self._write, _step_options(device, precision, batch)))
            )
        self._graph: Any = None

    def _read(self, *inputs: Any) -> "torch.Tensor":
        return _read(self._product, self._form, *inputs)

    def _write(self, *inputs: Any) -> "torch.Tensor":
        return _write(self._product, self._form, *inputs)

    def _layer(self, layer: Any, name: str, precision: str) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        parts = {
            "attend_in": (attention.q_proj, attention.k_proj, attention.v_proj),
            "attend_out": (attention.o_proj,),
            "gate_up": (mlp.gate_proj, mlp.up_proj),
            "down": (mlp.down_proj,),
        }
        join = functools.partial(self._joined, name=name, precision=precision)
        return Layer(
            norm_in=layer.input_layernorm.weight.detach(),
            norm_out=layer.post_attention_layernorm.weight.detach(),
            **{part: join(modules) for part, modules in parts.items()},
        )

    def _joined(self, modules: tuple[Any, ...], name: str, precision: str) -> Weights:
        import torch

        if precision == NF4:
            return modules
        if precision == INT4:
            owners = {module: owner for owner, module in self._model.named_modules() if owner.startswith(f"{name}.")}
            packed = [self.packed[owners[module]] for module in modules]
            return torch.cat([each[0] for each in packed]), torch.cat([each[1] for each in packed], 1)
        whole = torch.cat([module.weight.detach() for module in modules])
        for module, rows in zip(modules, whole.split([each.out_features for each in modules]), strict=True):
            module.weight.data = rows
        return (whole,)

    def read(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Read prompts (batch, tokens) into an empty cache; the logits after the last token, (batch, vocabulary)."""
        import torch

        tokens = ids.shape[1]
        with torch.no_grad():
            rows = self._model.model.embed_tokens(ids)
            for layer, cache in zip(self._layers, self._cache, strict=True):
                rows = self._whole(rows, layer, cache, self._cos[:tokens], self._sin[:tokens])
            return self._head(rows[:, -1])

    def _head(self, rows: "torch.Tensor") -> "torch.Tensor":
        return self._dense(self._model.model.norm(rows), (self._model.lm_head.weight,))

    def begin(self, ids: "torch.Tensor") -> None:
        """Read prompts up to their last tokens, and on a GPU capture a step."""
        import torch

        if ids.shape[1] > 1:
            self.read(ids[:, :-1])
        self._start.fill_(ids.shape[1] - 1)
        self._last = ids[:, -1:].clone()
        self.rewind()
        if self._device.kind == "cuda":
            with torch.cuda.device(self._device.index):  # graphs are captured on the current device
                self._capture()
            self.rewind()

    def _capture(self) -> None:
        import torch

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.no_grad():
            for _ in range(WARM_UP_STEPS):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._step()

    def rewind(self) -> None:
        """Go back to the end of the prompt: what was written after it is written over."""
        self._token.copy_(self._last)
        self._position.copy_(self._start)

    def step(self) -> None:
        """Write one token for each row; does not wait."""
        import torch

        if self._graph is not None:
            self._graph.replay()
            return
        with torch.no_grad():
            self._step()

    def _step(self) -> None:
        rows = self._model.model.embed_tokens(self._token)
        cos, sin = (each.index_select(0, self._position) for each in (self._cos, self._sin))
        seen = self._places <= self._position
        for layer, cache in zip(self._layers, self._cache, strict=True):
            rows = self._one(rows, layer, cache, cos, sin, self._position, seen)
        self.logits.copy_(self._head(rows[:, -1]))
        self._token.copy_(self.logits.argmax(-1, keepdim=True))
        self.written.index_copy_(1, self._position - self._start, self._token)
        self._position.add_(1)


def _step_options(device: Device, precision: str, batch: int) -> dict[str, Any]:
    """How a decoding step is compiled.

    On a GPU products of one row become reductions that fuse with what surrounds them, tuned by trying: 221 token/s of
    8 B on an H200 against 207 by cuBLAS. Elsewhere it gains nothing and takes as long again to compile.
    """
    one_row = batch == 1 and precision not in (INT4, NF4)
    return {"coordinate_descent_tuning": True} if device.kind == "cuda" and one_row else {}


def _attend_in(
    product: Product, form: Form, rows: "torch.Tensor", layer: Layer, cos: "torch.Tensor", sin: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Queries (batch, heads, tokens, head_dim) of rows, and their keys and values (2, batch, kv_heads, ...).

    Queries and keys are turned by position.
    """
    import torch

    normed = torch.nn.functional.rms_norm(rows, rows.shape[-1:], layer.norm_in, form.epsilon)
    parts = product(normed, layer.attend_in).unflatten(-1, (-1, form.head_dim)).transpose(1, 2)
    queries, keys, values = parts.split([form.heads, form.kv_heads, form.kv_heads], 1)
    return _turned(queries, cos, sin), torch.stack([_turned(keys, cos, sin), values])


def _turned(heads: "torch.Tensor", cos: "torch.Tensor", sin: "torch.Tensor") -> "torch.Tensor":
    """Rotary embedding as transformers has it: the halves of a head turn against each other."""
    import torch

    first, second = heads.chunk(2, -1)
    return heads * cos + torch.cat([-second, first], -1) * sin


def _after_attention(
    product: Product, form: Form, rows: "torch.Tensor", attended: "torch.Tensor", layer: Layer
) -> "torch.Tensor":
    import torch

    rows = rows + product(attended, layer.attend_out)
    normed = torch.nn.functional.rms_norm(rows, rows.shape[-1:], layer.norm_out, form.epsilon)
    gate, up = product(normed, layer.gate_up).chunk(2, -1)
    return rows + product(torch.nn.functional.silu(gate) * up, layer.down)


def _read(
    product: Product,
    form: Form,
    rows: "torch.Tensor",
    layer: Layer,
    cache: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
) -> "torch.Tensor":
    """A layer over whole prompts (batch, tokens, hidden), which fills the first places of its cache."""
    import torch

    queries, new = _attend_in(product, form, rows, layer, cos, sin)
    cache[:, :, :, : rows.shape[1]] = new
    keys, values = new
    attended = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, enable_gqa=form.heads != form.kv_heads
    )
    return _after_attention(product, form, rows, attended.transpose(1, 2).flatten(2), layer)


def _write(
    product: Product,
    form: Form,
    rows: "torch.Tensor",
    layer: Layer,
    cache: "torch.Tensor",
    cos: "torch.Tensor",
    sin: "torch.Tensor",
    position: "torch.Tensor",
    seen: "torch.Tensor",
) -> "torch.Tensor":
    """A layer over one token of each row (batch, 1, hidden) at a place of the cache; `seen` marks the places up to it.

    Queries that share a key are rows of one product, so that each key and value is read once.
    """
    queries, new = _attend_in(product, form, rows, layer, cos, sin)
    cache.index_copy_(3, position, new)
    keys, values = cache
    grouped = queries.reshape(rows.shape[0], form.kv_heads, -1, form.head_dim)
    scores = (grouped @ keys.transpose(2, 3)).float() * form.head_dim**-0.5
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1).to(rows.dtype)
    attended = (weights @ values).reshape(rows.shape[0], 1, -1)
    return _after_attention(product, form, rows, attended, layer)
