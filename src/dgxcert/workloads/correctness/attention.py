"""Attention: output and gradients of every kernel that torch has on a device, compared with fp64 on the CPU."""

import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.correctness import attention_reference, rounding
from dgxcert.workloads.correctness.rounding import Exact, Worst

if TYPE_CHECKING:
    import torch

MATH = "MATH"
BACKENDS = (MATH, "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION")
"""torch's names in `torch.nn.attention.SDPBackend`; the first is plain attention, which torch always has."""

REFUSALS = ("No available kernel", "No viable backend")
"""torch's messages where a kernel does not support its inputs; every other error is an error."""

PRECISIONS = {"cuda": ("bf16", "fp16"), "cpu": ("fp32", "bf16")}

HEADS = ((8, 8), (8, 2), (8, 1))
"""Heads of queries, heads of keys and values, of a prompt."""
HEAD_DIMS = (64, 128)
PROMPTS = (
    (193, True, "normal"),
    (193, False, "normal"),
    (193, True, "negative"),
    (193, False, "negative"),
    (256, True, "normal"),
    (256, False, "normal"),
)
"""Tokens, causal, values: with and without a remainder beyond the last full tile, which kernels got wrong."""

LLAMA = (32, 8, 128)
"""Heads, key and value heads, and head_dim of an 8 B Llama."""
CACHED_HEADS = (8, 4, 2, 1)
"""Heads of keys and values of a decoded token, for 32 heads of queries. A kernel got fewer than 8 wrong."""
CACHED = 1025
"""Keys of a decoded token."""
LONG = {"cuda": ("bf16", 4097), "cpu": ("bf16", 2049)}
"""Precision and keys of a long context: full tiles and one key beyond them."""

SHIFT = 24.0
"""How far negative keys are shifted along one direction, and queries by 1 against it, as in real models."""

SCORE_BYTES = 32
"""Memory of a score: four copies in fp64 for half of the heads, and four in fp32 in plain attention's backward pass."""

TILE = 16
"""Keys of the smallest tile that a kernel handles at once."""
AIM = 11.0
"""By how much the score of the key that a query is aimed at exceeds the others', which are 0 +- 1.7: it weighs about as
much as 4096 of them."""


@dataclass(frozen=True)
class Case:
    """Shapes and values of one comparison, with gradients unless it is a single decoded token.

    `values` is "normal"; "negative", where every score is below -87 and exp() of it is zero in fp32, which reveals a
    kernel that takes a key beyond the end, whose score is 0, for the largest; or "aimed", where every tile of keys has
    a query that gives it much of its weight, and other queries are aimed at a key that a causal mask hides from them.
    """

    precision: str
    heads: int
    kv_heads: int
    head_dim: int
    queries: int
    keys: int
    causal: bool
    values: str = "normal"
    batch: int = 1

    @property
    def scores(self) -> int:
        """How many products of queries and keys there are."""
        return self.batch * self.heads * self.queries * self.keys

    @property
    def trains(self) -> bool:
        """Whether gradients are computed: no training has a single query."""
        return self.queries > 1

    def __str__(self) -> str:
        words = [self.precision, f"{self.heads}:{self.kv_heads} heads of {self.head_dim}"]
        words += [f"{self.batch} times"] * (self.batch > 1) + [f"{self.queries}x{self.keys}"]
        return " ".join(words + ["causal"] * self.causal + [f"{self.values} values"] * (self.values != "normal"))


@dataclass(frozen=True)
class Comparison:
    """Cases that each kernel computed, forward and with gradients, and the worst error of each in units of rounding."""

    cases: int
    trained: int
    forward: dict[str, int]
    backward: dict[str, int]
    output: Worst
    gradient: Worst

    @property
    def offered(self) -> str:
        """The kernels by name, as evidence."""
        return _counted(self.forward, self.cases)

    @property
    def offered_for_training(self) -> str:
        """The kernels that compute gradients by name, as evidence."""
        return _counted(self.backward, self.trained)


def _counted(counts: dict[str, int], of: int) -> str:
    return ", ".join(f"{name} {count} of {of}" for name, count in counts.items())


def cases(kind: str) -> list[Case]:
    """All cases for a kind of device: prompts, decoded tokens, and a long context of each."""
    found = []
    for precision in PRECISIONS[kind]:
        for heads, dim, (tokens, causal, values) in itertools.product(HEADS, HEAD_DIMS, PROMPTS):
            found.append(Case(precision, *heads, dim, tokens, tokens, causal, values))
        found.append(Case(precision, *LLAMA, 193, 193, True))
        for kv_heads, dim, values in itertools.product(CACHED_HEADS, HEAD_DIMS, ("normal", "negative")):
            found.append(Case(precision, 32, kv_heads, dim, 1, CACHED, False, values))
    return found + long_cases(*LONG[kind])


def long_cases(precision: str, keys: int) -> list[Case]:
    """A prompt, and as many decoded tokens, one of each sequence and head, as there are tiles of keys."""
    batch = -(-keys // (TILE * 32))
    return [
        Case(precision, 4, 2, 64, keys, keys, True, "aimed"),
        Case(precision, 32, 4, 64, 1, keys, False, "aimed", batch),
    ]


def compare(device: Device, chosen: Sequence[Case] | None = None) -> Comparison:
    """Compute every case with every kernel that supports it, as in inference and, with gradients, as in training.

    Raises Wrong for values that are not finite, Inconclusive where a supported kernel ends with an error.
    """
    chosen = chosen or cases(device.kind)
    forward: Counter[str] = Counter()
    backward: Counter[str] = Counter()
    output, gradient = Worst(), Worst()
    for case in chosen:
        allocation.require(device, SCORE_BYTES * case.scores, f"attention of {case}")
        inputs = make_inputs(case)
        wanted = _exact(inputs, case)
        placed = [_placed(tensor, case, device) for tensor in inputs]
        for backend in BACKENDS:
            inferred = _inferred(backend, placed, case)
            trained = _trained(backend, placed, case)
            forward[backend] += bool(inferred)
            backward[backend] += bool(trained)
            for way, results in (("", inferred), (" in training", trained)):
                for name, tensor in results.items():
                    worst = _worst(tensor, wanted[name], f"{backend}, {case}: {name}{way}")
                    if name == "output":
                        output = max(output, worst, key=lambda each: each.error)
                    else:
                        gradient = max(gradient, worst, key=lambda each: each.error)
    if forward[MATH] < len(chosen):
        raise Inconclusive("torch refuses plain attention, which it has on every device")
    trained_cases = sum(case.trains for case in chosen)
    return Comparison(len(chosen), trained_cases, dict(+forward), dict(+backward), output, gradient)


def attend(
    backend: str, query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", causal: bool
) -> "torch.Tensor | None":
    """Attention by one kernel; None where torch refuses it with grouped and with repeated keys and values."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    repeats = query.shape[1] // key.shape[1]
    repeated = (tensor.repeat_interleave(repeats, 1) for tensor in (key, value))
    for keys, values, grouped in ((key, value, True), (*repeated, False)):
        try:
            with sdpa_kernel(getattr(SDPBackend, backend)):
                output: torch.Tensor = scaled_dot_product_attention(
                    query, keys, values, is_causal=causal, enable_gqa=grouped
                )
                return output
        except RuntimeError as error:
            if not any(words in str(error) for words in REFUSALS):
                raise
    return None


def _inferred(backend: str, placed: list["torch.Tensor"], case: Case) -> dict[str, "torch.Tensor"]:
    """The output without gradients, by name; nothing where torch refuses."""
    import torch

    with torch.inference_mode():
        output = _run(backend, placed[:3], None, case)
    return dict(zip(attention_reference.NAMES, output, strict=False))


def _trained(backend: str, placed: list["torch.Tensor"], case: Case) -> dict[str, "torch.Tensor"]:
    """Output and gradients by name; nothing where torch refuses, or where no training has this shape."""
    if not case.trains:
        return {}
    *inputs, gradient = placed
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    return dict(zip(attention_reference.NAMES, _run(backend, leaves, gradient, case), strict=False))


def _run(
    backend: str, inputs: list["torch.Tensor"], gradient: "torch.Tensor | None", case: Case
) -> list["torch.Tensor"]:
    import torch

    try:
        with numerics.exact_matmul(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns why it refuses a kernel
            output = attend(backend, inputs[0], inputs[1], inputs[2], case.causal)
            if output is None or gradient is None:
                return [] if output is None else [output]
            return [output, *torch.autograd.grad(output, inputs, gradient)]
    except RuntimeError as error:
        first = next(iter(str(error).splitlines()), "no message")
        raise Inconclusive(f"{backend} supports {case} but ends with: {first}") from error


def make_inputs(case: Case) -> list["torch.Tensor"]:
    """Query, key, value and the gradient of the output, rounded to the precision, on the CPU.

    Shapes are (batch, heads, queries, head_dim) for query and gradient, (batch, kv_heads, keys, head_dim) for the rest.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(case.head_dim + case.kv_heads)
    shapes = {
        "query": (case.batch, case.heads, case.queries, case.head_dim),
        "key": (case.batch, case.kv_heads, case.keys, case.head_dim),
    }
    query, key, value = (torch.randn(shapes[name], generator=generator) for name in ("query", "key", "key"))
    direction = torch.randint(0, 2, (case.head_dim,), generator=generator) * 2.0 - 1
    gradient = torch.randn(shapes["query"], generator=generator)
    if case.values == "negative":
        query, key = query + direction, key - SHIFT * direction
    if case.values == "aimed":
        repeated = key.repeat_interleave(case.heads // case.kv_heads, 1)
        aimed_at = targets(case)[..., None].expand_as(query)
        at = repeated.gather(2, aimed_at)
        query = query + AIM * case.head_dim**0.5 * at / at.square().sum(-1, keepdim=True)
    return [tensor.to(numerics.dtype(case.precision)) for tensor in (query, key, value, gradient)]


def targets(case: Case) -> "torch.Tensor":
    """The key that each query is aimed at (batch, heads, queries).

    Under a causal mask every second query is aimed at the key after its own, which it must not see; of the others, one
    half at their own, so that no tile of keys is without, and one half at any earlier one. Without a mask, queries of
    all sequences and heads are aimed at one key after the other, far apart.
    """
    import torch

    shape = (case.batch, case.heads, case.queries)
    if not case.causal:
        tiles = -(-case.keys // TILE)
        numbers = torch.arange(case.batch * case.heads * case.queries).reshape(shape)
        return (numbers % tiles * TILE + numbers // tiles).clamp(max=case.keys - 1)
    generator = torch.Generator("cpu").manual_seed(case.keys)
    own = torch.arange(case.queries).expand(shape)
    earlier = (torch.rand(shape, generator=generator) * (own + 1)).long()
    chosen = torch.where(own % 4 == 0, own, earlier)
    return torch.where(own % 2 == 1, own + 1, chosen).clamp(max=case.keys - 1)


def _placed(tensor: "torch.Tensor", case: Case, device: Device) -> "torch.Tensor":
    """A tensor on the device, laid out as models have it: heads of a token together, except in a cache of keys."""
    if case.trains:
        tensor = tensor.transpose(1, 2).contiguous().transpose(1, 2)
    return tensor.to(device.name)


def by_hand(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", causal: bool) -> "torch.Tensor":
    """softmax(QK^T / sqrt(d)) V in fp64, independent of torch's attention.

    `query` is of shape (batch, heads, queries, d), `key` and `value` (batch, kv_heads, keys, d); heads are repeated.
    """
    wanted = attention_reference.compute(query, key, value, None, causal=causal, precision="fp32")
    return wanted["output"].values


def _exact(inputs: list["torch.Tensor"], case: Case) -> dict[str, Exact]:
    query, key, value, gradient = inputs
    return attention_reference.compute(
        query, key, value, gradient if case.trains else None, causal=case.causal, precision=case.precision
    )


def _worst(actual: "torch.Tensor", wanted: Exact, name: str) -> Worst:
    try:
        error, (_, head, row) = rounding.worst_row(actual, wanted)
    except Wrong as wrong:
        raise Wrong(f"{name}: {wrong.problem}") from wrong
    return Worst(error, f"{name}, row {row} of head {head}")
