"""Static Llama: a transformers Llama's own weights with fixed shapes, joined matmuls and a KV cache that never grows.

This is the `tuned` path. Each layer is one function, compiled once for all layers where that is asked for, and on a GPU
a whole decoding step is one CUDA graph, so that what is timed is the device and not the host that feeds it. The graph
may have some of the steps of `decode_steps`.

Shapes in this module: `tokens` is the number of positions of a prompt, `max_length` that of prompt and completion, and
`hidden` the width of the model.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.machine.device import Device
from dgxcert.workloads.inference import decode_steps, head_kernel, weight_forms
from dgxcert.workloads.inference.decode_steps import PLAIN, Place, Steps
from dgxcert.workloads.inference.llama_layer import DecodeForm, Fused, LayerWeights, LlamaDims, prefill_layer
from dgxcert.workloads.models import linear_kernels

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 3
"""Decoding steps before a CUDA graph is captured."""


class StaticLlama:
    """A Llama with a KV cache for `batch` rows of `max_length` tokens; it decodes greedily.

    `start_decode` fills the cache with prompts, after which each `decode_one_token` appends a token to every row.
    """

    def __init__(
        self,
        model: Any,
        device: Device,
        precision: str,
        batch: int,
        max_length: int,
        *,
        compiled: bool,
        own_kernels: bool = False,
    ) -> None:
        self._model, self._device, self.precision = model, device, precision
        self.hidden: int = model.config.hidden_size
        self.dims = LlamaDims.of(model.config)
        self._dense = linear_kernels.dense(device, model.lm_head.weight.dtype)
        self.form = weight_forms.find(model, device, precision, own=own_kernels)
        """The form of the matrices of its layers."""
        self._layers = [self._layer_weights(layer) for layer in model.model.layers]
        self._allocate(batch, max_length)
        self._prefill_layer = self._prefill_layer_eager
        self._compiled = compiled and self.form.compiles
        if self._compiled:
            self._compile()
        self.steps = PLAIN
        """The decode steps in use."""
        self._forms: dict[Steps, DecodeForm] = {}
        self._graphs: dict[Steps, Any] = {}
        self._form = self._form_of(PLAIN)
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

    def _compile(self) -> None:
        """Replace the function of a prefill's layer by its compiled form; it is compiled once, for all layers."""
        import torch

        # What was compiled for an earlier model counts against torch's limit of recompilations per function.
        torch.compiler.reset()
        self._prefill_layer = torch.compile(self._prefill_layer_eager, fullgraph=True, dynamic=False, options={})

    def _prefill_layer_eager(self, *inputs: Any) -> "torch.Tensor":
        return prefill_layer(self.form.linear, self.dims, *inputs)

    def _form_of(self, steps: Steps) -> DecodeForm:
        """The functions of a decoding step with these steps; each is compiled once, at its first call."""
        if steps not in self._forms:
            options = None
            if self._compiled:
                batch = self._token.shape[0]
                options = _decode_options(self._device, self.precision, batch) | decode_steps.compiler_options(steps)
            self._forms[steps] = DecodeForm(self.form.linear, self._dense, self.dims, Fused.of(steps), options)
        return self._forms[steps]

    def place(self) -> Place:
        """Where the decoding steps run, which decides what can be added to them."""
        import torch

        on_gpu = self._device.kind == "cuda"
        return Place(
            kind=self._device.kind,
            capability=torch.cuda.get_device_capability(self._device.index) if on_gpu else (0, 0),
            compiled=self._compiled,
            precision=self.precision,
            batch=self._token.shape[0],
            vocabulary=self.logits.shape[1],
            halves_alike=decode_steps.are_halves_alike(self._cos) and decode_steps.are_halves_alike(self._sin),
            has_dependent_launch=self._compiled and decode_steps.has_dependent_launch(),
            has_triton=head_kernel.is_installed(),
        )

    def use(self, steps: Steps) -> None:
        """Decode with these steps from now on; comes after `start_decode`, and rewinds."""
        self.steps, self._form = steps, self._form_of(steps)
        self._graph = self._graphs.get(steps)
        self.rewind()
        if self._device.kind == "cuda" and self._graph is None:
            import torch

            with torch.cuda.device(self._device.index):  # graphs are captured on the current device
                self._graph = self._graphs[steps] = self._captured()
            self.rewind()

    def forget_others(self) -> None:
        """Drop what belongs to steps that are not in use: graphs and compiled functions."""
        self._forms = {self.steps: self._form}
        self._graphs = {self.steps: self._graph} if self._graph is not None else {}

    def _layer_weights(self, layer: Any) -> LayerWeights:
        attention, mlp, joined = layer.self_attn, layer.mlp, self.form.joined
        return LayerWeights(
            input_norm=layer.input_layernorm.weight.detach(),
            qkv_proj=joined((attention.q_proj, attention.k_proj, attention.v_proj)),
            o_proj=joined((attention.o_proj,)),
            post_attention_norm=layer.post_attention_layernorm.weight.detach(),
            gate_up_proj=joined((mlp.gate_proj, mlp.up_proj)),
            down_proj=joined((mlp.down_proj,)),
        )

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

        if ids.shape[1] > 1:
            self.prefill(ids[:, :-1])
        self._start.fill_(ids.shape[1] - 1)
        self._last_prompt_token = ids[:, -1:].clone()
        self._graphs.clear()
        self.use(self.steps)

    def _captured(self) -> Any:
        """A CUDA graph of one decoding step."""
        import torch

        # Warm up on a side stream, as torch's CUDA graph notes demand: libraries choose their kernels and allocate
        # their workspace in the first steps, which must not happen while a graph is captured.
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream), torch.no_grad():
            for _ in range(WARM_UP_STEPS):
                self._forward_one_token()
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            self._forward_one_token()
        return graph

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
            hidden = self._form.layer(hidden, layer, kv_cache, *at_position)
        logits, token = self._head(hidden)
        self.logits.copy_(logits)
        self._token.copy_(token)
        self.generated.index_copy_(1, self._position - self._start, self._token)
        self._position.add_(1)

    def _head(self, hidden: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Logits (batch, vocabulary) and the next token of each row, (batch, 1)."""
        if decode_steps.HEAD_ARGMAX in self.steps:
            return head_kernel.logits_and_token(self._model.model.norm(hidden).flatten(), self.lm_head_weight)
        if self._form.fused.argmax:
            head: tuple[torch.Tensor, torch.Tensor] = self._form.head(
                hidden, self._model.model.norm.weight, self.lm_head_weight
            )
            return head
        logits = self._lm_head(hidden[:, -1])
        return logits, logits.argmax(-1, keepdim=True)

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
            return self._form.layer(hidden, weights, self.kv_cache[index], *self._at_position())

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
    def token(self) -> "torch.Tensor":
        """The last token of each row, (batch, 1), which the next step reads."""
        return self._token

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
