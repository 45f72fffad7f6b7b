"""Exact gradients: the loss of a Llama or a DistilBERT written out in fp32, from the weights of a built model.

It shares no kernel with the training that it is compared with: attention is two matmuls and a softmax, NF4 weights
come from their definition, nothing is compiled, and TF32 is off. Rows are neither padded nor masked: the linear layers
see all of them end to end, attention one after another. Each layer keeps only its input for the backward pass and is
computed again, so that an 8 B model needs the fp32 weights and activations of one layer at a time.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness.nf4_reference import LEVELS
from dgxcert.workloads.models.nf4 import BLOCK

if TYPE_CHECKING:
    import torch

ADAPTER = "default"
"""PEFT's name of an adapter that was given none."""


def of_causal(model: Any, rows: "list[torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Gradients of a Llama's loss, the mean of the next-token cross entropy over all rows, by parameter name."""
    return _gradients(model, lambda: _llama_loss(_inner(model), rows))


def of_classifier(model: Any, rows: "list[torch.Tensor]", labels: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Gradients of a DistilBERT classifier's cross entropy, averaged over rows, by parameter name."""

    def loss() -> "torch.Tensor":
        chosen: torch.Tensor = _log_softmax(_distilbert_logits(_inner(model), rows)).gather(1, labels[:, None])
        return -chosen.mean()

    return _gradients(model, loss)


def of_student(
    student: Any, rows: "list[torch.Tensor]", teacher: "torch.Tensor", temperature: float
) -> "dict[str, torch.Tensor]":
    """Gradients of T^2 KL(teacher || student), averaged over rows, by parameter name; `teacher` has logits."""

    def loss() -> "torch.Tensor":
        target = _log_softmax(teacher.detach().float() / temperature)
        predicted = _log_softmax(_distilbert_logits(_inner(student), rows) / temperature)
        return (target.exp() * (target - predicted)).sum() / len(rows) * temperature**2

    return _gradients(student, loss)


def rows_of(inputs: "dict[str, torch.Tensor]") -> "list[torch.Tensor]":
    """The rows of a padded batch without their padding.

    >>> import torch
    >>> ids, mask = torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    >>> [row.tolist() for row in rows_of({"input_ids": ids, "attention_mask": mask})]
    [[5, 6, 7], [8]]
    """
    return [ids[mask.bool()] for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]


def _gradients(model: Any, loss: "Callable[[], torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Gradients of all trained parameters, in fp32 on the CPU.

    They are taken of copies, which stand in for the parameters meanwhile: a parameter's own gradient is left alone, and
    hooks on it, which change what training sees, do not change what is exact.
    """
    import torch

    trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
    copies = {name: values.detach().float().clone().requires_grad_() for name, values in trained.items()}

    class Differentiated(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self) -> "tuple[torch.Tensor, ...]":  # with the backward pass, which computes layers again
            wanted = list(copies.values())
            found: tuple[torch.Tensor, ...] = torch.autograd.grad(
                loss(), wanted, materialize_grads=True, allow_unused=True
            )
            return found

    with torch.enable_grad(), in_fp32(next(iter(copies.values())).device.type):
        values = torch.func.functional_call(
            Differentiated(), {f"model.{name}": values for name, values in copies.items()}, ()
        )
    return {name: gradient.cpu() for name, gradient in zip(copies, values, strict=True)}


@contextmanager
def in_fp32(kind: str) -> Iterator[None]:
    """A context without TF32 and without autocast."""
    import torch

    with numerics.exact_matmul(), torch.autocast(kind, enabled=False):
        yield


def _inner(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _llama_loss(model: Any, rows: "list[torch.Tensor]") -> "torch.Tensor":
    """Mean cross entropy of the next tokens of all rows."""
    import torch

    lengths = [len(row) for row in rows]
    hidden = model.model.embed_tokens.weight[torch.cat(rows)].float()
    rotary = _rotary(model.config, lengths, hidden.device)
    for layer in model.model.layers:
        hidden = _recomputed(partial(_llama_layer, layer, lengths=lengths, rotary=rotary), hidden)
    ends = zip(rows, hidden.split(lengths), strict=True)
    sums = [_recomputed(partial(_next_token_loss, model, row=row), x) for row, x in ends]
    return torch.stack(sums).sum() / (sum(lengths) - len(rows))


def _llama_layer(layer: Any, hidden: "torch.Tensor", lengths: list[int], rotary: Any) -> "torch.Tensor":
    """One decoder layer on (tokens, hidden)."""
    import torch

    attention = layer.self_attn
    normed = _rms_norm(hidden, layer.input_layernorm)
    query, key, value = (
        _linear(projection, normed).unflatten(1, (-1, attention.head_dim)).transpose(0, 1)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    query, key = _rotated(query, rotary), _rotated(key, rotary)
    groups = query.shape[0] // key.shape[0]
    key, value = repeated(key, groups), repeated(value, groups)
    hidden = hidden + _linear(attention.o_proj, _attention(query, key, value, lengths, causal=True))
    normed = _rms_norm(hidden, layer.post_attention_layernorm)
    gate = _linear(layer.mlp.gate_proj, normed)
    return hidden + _linear(layer.mlp.down_proj, gate * torch.sigmoid(gate) * _linear(layer.mlp.up_proj, normed))


def _next_token_loss(model: Any, hidden: "torch.Tensor", row: "torch.Tensor") -> "torch.Tensor":
    """Sum of the cross entropy of the tokens of one row, each predicted from those before it."""
    logits = _linear(model.lm_head, _rms_norm(hidden[:-1], model.model.norm))
    loss: torch.Tensor = -_log_softmax(logits).gather(1, row[1:, None]).sum()
    return loss


def _distilbert_logits(model: Any, rows: "list[torch.Tensor]") -> "torch.Tensor":
    """Logits (rows, labels) of a DistilBERT classifier, without dropout."""
    import torch

    lengths, embeddings = [len(row) for row in rows], model.distilbert.embeddings
    positions = torch.cat([torch.arange(length, device=row.device) for length, row in zip(lengths, rows, strict=True)])
    hidden = embeddings.word_embeddings.weight[torch.cat(rows)] + embeddings.position_embeddings.weight[positions]
    hidden = _layer_norm(hidden.float(), embeddings.LayerNorm)
    for layer in model.distilbert.transformer.layer:
        hidden = _recomputed(partial(_distilbert_layer, layer, lengths=lengths, heads=model.config.n_heads), hidden)
    first = torch.stack([row[0] for row in hidden.split(lengths)])
    return _linear(model.classifier, _linear(model.pre_classifier, first).clamp(min=0))


def _distilbert_layer(layer: Any, hidden: "torch.Tensor", lengths: list[int], heads: int) -> "torch.Tensor":
    """One encoder layer on (tokens, hidden)."""
    import torch

    attention = layer.attention
    query, key, value = (
        _linear(projection, hidden).unflatten(1, (heads, -1)).transpose(0, 1)
        for projection in (attention.q_lin, attention.k_lin, attention.v_lin)
    )
    attended = _linear(attention.out_lin, _attention(query, key, value, lengths, causal=False))
    hidden = _layer_norm(hidden + attended, layer.sa_layer_norm)
    inner = _linear(layer.ffn.lin1, hidden)
    inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))  # GELU
    return _layer_norm(hidden + _linear(layer.ffn.lin2, inner), layer.output_layer_norm)


def _attention(
    query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", lengths: list[int], *, causal: bool
) -> "torch.Tensor":
    """Attention of (heads, tokens, head_dim) within each row; returns (tokens, heads * head_dim)."""
    import torch

    outputs = []
    for q, k, v in zip(*(heads.split(lengths, 1) for heads in (query, key, value)), strict=True):
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if causal:
            length = q.shape[1]
            later = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        weights = torch.exp(scores - scores.detach().amax(-1, keepdim=True))
        outputs.append(weights / weights.sum(-1, keepdim=True) @ v)
    return torch.cat(outputs, 1).transpose(0, 1).flatten(1)


def repeated(heads: "torch.Tensor", groups: int) -> "torch.Tensor":
    """Each of (heads, tokens, head_dim) as often as queries share it; its gradient is a plain sum, in a fixed order."""
    return heads[:, None].expand(-1, groups, -1, -1).flatten(0, 1)


def _linear(module: Any, inputs: "torch.Tensor") -> "torch.Tensor":
    """A linear layer with the LoRA adapter that PEFT put around it, or PEFT's trained copy of it."""
    if hasattr(module, "modules_to_save"):
        module = module.modules_to_save[ADAPTER]
    base = getattr(module, "base_layer", module)
    outputs: torch.Tensor = inputs @ _weights(base).T
    if base.bias is not None:
        outputs = outputs + base.bias.float()
    if base is module:
        return outputs
    low = inputs @ module.lora_A[ADAPTER].weight.float().T
    return outputs + module.scaling[ADAPTER] * (low @ module.lora_B[ADAPTER].weight.float().T)


def _weights(linear: Any) -> "torch.Tensor":
    """Weights (outer, inner) of a linear layer in fp32; those of NF4 from its definition, not by its kernels."""
    state = getattr(linear.weight, "quant_state", None)
    weights: torch.Tensor = linear.weight.float() if state is None else dequantised(linear.weight.data, state)
    return weights


def require_plain_nf4(state: Any) -> None:
    """Raise Inconclusive where weights are not NF4 in blocks of 64, each with a scale that is not itself quantised."""
    if (state.quant_type, state.blocksize, state.nested) != ("nf4", BLOCK, False):
        raise Inconclusive(
            f"weights are quantised as {state.quant_type} in blocks of {state.blocksize}, not as NF4 in blocks of "
            f"{BLOCK}: no exact gradient of them is known"
        )


def dequantised(packed: "torch.Tensor", state: Any) -> "torch.Tensor":
    """NF4 weights (outer, inner) in fp32: two levels a byte, the first in the high bits, times the block's scale.

    Raises Inconclusive where the weights are quantised in another way.
    """
    import torch

    require_plain_nf4(state)
    levels = torch.tensor(LEVELS, dtype=torch.float32, device=packed.device)
    pairs = torch.cartesian_prod(levels, levels)
    values = pairs.index_select(0, packed.view(torch.uint8).flatten().int()).view(-1, BLOCK)
    return (values * state.absmax.float()[:, None]).view(tuple(state.shape))


def _log_softmax(logits: "torch.Tensor") -> "torch.Tensor":
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    log_softmax: torch.Tensor = shifted - shifted.exp().sum(-1, keepdim=True).log()
    return log_softmax


def _rms_norm(hidden: "torch.Tensor", norm: Any) -> "torch.Tensor":
    scaled: torch.Tensor = hidden * (hidden.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
    return norm.weight.float() * scaled


def _layer_norm(hidden: "torch.Tensor", norm: Any) -> "torch.Tensor":
    centred = hidden - hidden.mean(-1, keepdim=True)
    scaled: torch.Tensor = centred * (centred.square().mean(-1, keepdim=True) + norm.eps).rsqrt()
    return scaled * norm.weight.float() + norm.bias.float()


def _rotary(config: Any, lengths: list[int], device: "torch.device") -> "tuple[torch.Tensor, torch.Tensor]":
    """Cosines and sines (tokens, head_dim) of rotary position embeddings (Su et al. 2021); positions restart by row."""
    import torch

    # transformers 5 keeps the base in a dictionary.
    base = getattr(config, "rope_theta", None) or config.rope_parameters["rope_theta"]
    exponents = torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim
    positions = torch.cat([torch.arange(length, device=device) for length in lengths]).float()
    angles = torch.outer(positions, base**-exponents).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotated(heads: "torch.Tensor", rotary: "tuple[torch.Tensor, torch.Tensor]") -> "torch.Tensor":
    """Heads (heads, tokens, head_dim) turned by their positions, halves paired as in transformers' Llama."""
    import torch

    cos, sin = rotary
    first, second = heads.chunk(2, -1)
    return heads * cos + torch.cat((-second, first), -1) * sin


def _recomputed(layer: "Callable[[torch.Tensor], torch.Tensor]", hidden: "torch.Tensor") -> "torch.Tensor":
    """A layer that keeps its input only; its backward pass computes it again."""
    from torch.utils.checkpoint import checkpoint

    outputs: torch.Tensor = checkpoint(layer, hidden, use_reentrant=False, preserve_rng_state=False)
    return outputs
