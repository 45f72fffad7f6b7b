"""Attention gradients: those of the fused attention that a training calls, at its own shapes, by row and head.

In 16 bits a wrong gradient of one head's keys is lost among the adapters' gradients: it reaches those of lower layers
only, through the residual stream, where it is smaller than rounding. So the calls that the trained model makes are
repeated alone, and the gradients of queries, keys and values compared with exact ones.
"""

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.training import exact_gradients, gradients
from dgxcert.workloads.training.gradients import Agreement
from dgxcert.workloads.training.lora_setup import Setup

if TYPE_CHECKING:
    import torch

SEED = 29
PARAMETERS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
"""Positional parameters of torch's scaled_dot_product_attention, in order."""


@dataclass(frozen=True)
class Call:
    """One call of torch's attention: queries, keys and values (rows, heads, tokens, head_dim), and its options."""

    heads: "tuple[torch.Tensor, ...]"
    options: dict[str, Any]


def compare(setup: Setup, model: Any, inputs: "dict[str, torch.Tensor]", **options: Any) -> Agreement:
    """The worst agreement of the attention gradients of a model's first layer on a batch with exact ones.

    Raises Inconclusive where the model does not call torch's attention.
    """
    fused: dict[str, torch.Tensor] = {}
    exact: dict[str, torch.Tensor] = {}
    for number, call in enumerate(_first_calls(setup, model, inputs, options)):
        upstream = _upstream(call, number)
        fused |= _by_head(number, _fused_gradients(setup, call, upstream))
        exact |= _by_head(number, _exact_gradients(call, upstream))
    if not exact:
        raise Inconclusive("the model does not call torch's attention, so that its gradients cannot be compared")
    return gradients.compare(fused, exact)


def _first_calls(setup: Setup, model: Any, inputs: "dict[str, torch.Tensor]", options: Any) -> list[Call]:
    """The first layer's calls of torch's attention in a forward pass: as many as it takes for all rows of a batch."""
    import torch
    from torch.overrides import TorchFunctionMode

    calls: list[Call] = []
    rows = len(setup.batches[0])

    class Keeps(TorchFunctionMode):  # type: ignore[misc]  # torch is not typed here
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            arguments = {**dict(zip(PARAMETERS, args, strict=False)), **(kwargs or {})}
            if getattr(function, "__name__", "") == "scaled_dot_product_attention":
                if sum(len(call.heads[0]) for call in calls) >= rows:
                    raise _Enough
                heads = tuple(arguments.pop(name).detach() for name in PARAMETERS[:3])
                calls.append(Call(heads, arguments))
            return function(*args, **(kwargs or {}))

    with contextlib.suppress(_Enough), torch.no_grad(), _without_compiling(model), setup.autocast(), Keeps():
        model(**inputs, **options)
    return calls


class _Enough(Exception):  # noqa: N818 (it ends a forward pass whose rest is not needed, and is no error)
    """Raised at the call after the last one that is kept."""


def _without_compiling(model: Any) -> Any:
    """A context in which compiled layers run as they are written: inside a graph, calls cannot be seen."""
    import torch

    if all(getattr(module, "_compiled_call_impl", None) is None for module in model.modules()):
        return contextlib.nullcontext()  # `set_stance` takes seconds to import the compiler
    return torch.compiler.set_stance("force_eager")


def _upstream(call: Call, number: int) -> "torch.Tensor":
    """A random gradient of the call's output (rows, heads, tokens, head_dim)."""
    import torch

    query, value = call.heads[0], call.heads[2]
    generator = torch.Generator(query.device).manual_seed(SEED + number)
    shape = (*query.shape[:-1], value.shape[-1])
    return torch.randn(shape, generator=generator, device=query.device).to(query.dtype)


def _fused_gradients(setup: Setup, call: Call, upstream: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
    import torch

    heads = [values.clone().requires_grad_() for values in call.heads]
    with torch.enable_grad(), setup.autocast():
        output = torch.nn.functional.scaled_dot_product_attention(*heads, **call.options)
    of_heads: tuple[torch.Tensor, ...] = torch.autograd.grad(output, heads, upstream.to(output.dtype))
    return of_heads


def _exact_gradients(call: Call, upstream: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
    """The same by two matmuls and a softmax in fp32, row by row, since all scores of a row take memory."""
    import torch

    rows = []
    for index in range(len(upstream)):
        heads = [values[index].float().requires_grad_() for values in call.heads]
        with torch.enable_grad(), exact_gradients.in_fp32(upstream.device.type):
            output = _attention(heads, call.options, index)
        rows.append(torch.autograd.grad(output, heads, upstream[index].float()))
    return tuple(torch.stack(values) for values in zip(*rows, strict=True))


def _attention(heads: "list[torch.Tensor]", options: dict[str, Any], row: int) -> "torch.Tensor":
    """Attention of one row's queries, keys and values (heads, tokens, head_dim) with the options of a call."""
    import torch

    query, key, value = heads
    groups = query.shape[0] // key.shape[0]
    key, value = exact_gradients.repeated(key, groups), exact_gradients.repeated(value, groups)
    scale = options.get("scale") or 1 / math.sqrt(query.shape[-1])
    scores = scale * (query @ key.transpose(1, 2))
    if options.get("is_causal"):
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    mask = options.get("attn_mask")
    if mask is not None:
        mask = mask.expand(len(mask), *scores.shape)[row if len(mask) > 1 else 0]
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask.float()
    weights = torch.exp(scores - scores.detach().amax(-1, keepdim=True))
    output: torch.Tensor = weights / weights.sum(-1, keepdim=True) @ value
    return output


def _by_head(call: int, gradients_of: "tuple[torch.Tensor, ...]") -> "dict[str, torch.Tensor]":
    """Gradients (tokens, head_dim) of each row and head, by name."""
    return {
        f"attention call {call} row {row} {name} head {head}": values[row, head].float()
        for name, values in zip(("dQ", "dK", "dV"), gradients_of, strict=True)
        for row in range(values.shape[0])
        for head in range(values.shape[1])
    }
