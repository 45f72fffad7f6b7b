"""Attention: every kernel that torch has on a device, compared with plain attention and with fp64 on the CPU."""

import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

MATH = "MATH"
BACKENDS = (MATH, "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION")
"""torch's names in `torch.nn.attention.SDPBackend`; the first is plain attention, the reference of the others."""

REFUSALS = ("No available kernel", "No viable backend")
"""torch's messages where a kernel does not support its inputs; every other error is an error."""

HEADS = 32
KV_HEADS = (8, 4, 2, 1)
HEAD_DIMS = (64, 128)
LENGTHS = ((193, 193, True), (193, 193, False), (1, 1025, False))
"""Queries, keys, causal: a prompt and one decoded token. Kernels got a single key beyond the last full tile wrong."""

PRECISIONS = {"cuda": ("bf16", "fp16"), "cpu": ("fp32", "bf16")}
PLAIN_ERROR = {"fp32": 1e-4, "fp16": 3.2e-4, "bf16": 2.5e-3}
"""Relative Frobenius error of plain attention: 4e-5 measured on a CPU in fp32, where scores of -200 lose eight of 24
bits; in 16 bits the rounding of the result outweighs that, as it does in a matmul."""

SHIFT = 24.0
"""How far keys are shifted along one direction, and queries by 1 against it, as in real models."""

FACTOR = 4
"""flash-attention's own rule says 2, but of plain attention in 16 bits all the way; torch's rounds only its result."""

ALLOWED = Limit(
    name="tolerance of attention",
    max=1.0,
    unit="of what is allowed",
    source=f"{FACTOR} times the largest error of plain attention plus 1e-5: emulated kernels that round the weights of "
    "the keys to 16 bits, as fused ones do, reach 3.1 times; plain attention itself is held to a relative error of "
    + ", ".join(f"{error} in {name}" for name, error in PLAIN_ERROR.items()),
)


@dataclass(frozen=True)
class Case:
    """Shapes and values of one comparison. With `negative` every score is below -87, where exp() is zero in fp32.

    Only these reveal a kernel that takes a key beyond the end, whose score is 0, for the largest.
    """

    precision: str
    kv_heads: int
    head_dim: int
    queries: int
    keys: int
    causal: bool
    negative: bool

    def __str__(self) -> str:
        words = [self.precision, f"{HEADS}:{self.kv_heads} heads of {self.head_dim}", f"{self.queries}x{self.keys}"]
        words += ["causal"] * self.causal + ["negative scores"] * self.negative
        return " ".join(words)


@dataclass(frozen=True)
class Comparison:
    """Cases that each kernel computed, and the worst error as a share of the allowed one."""

    cases: int
    shapes: dict[str, int]
    share: float
    worst: str

    @property
    def offered(self) -> str:
        """The kernels by name, as evidence."""
        return ", ".join(f"{name} {count} of {self.cases}" for name, count in self.shapes.items())


def cases(kind: str) -> list[Case]:
    """All cases for a kind of device."""
    shapes = itertools.product(PRECISIONS[kind], KV_HEADS, HEAD_DIMS, LENGTHS, (False, True))
    return [Case(precision, kv, dim, *lengths, negative) for precision, kv, dim, lengths, negative in shapes]


def compare(device: Device, chosen: Sequence[Case] | None = None) -> Comparison:
    """Compute every case with every kernel that supports it.

    Raises Wrong for values that are not finite, Inconclusive where a supported kernel ends with an error.
    """
    chosen = chosen or cases(device.kind)
    shapes: Counter[str] = Counter()
    worst, where = -1.0, ""
    for case in chosen:
        inputs = _inputs(case)
        exact = by_hand(*inputs, case.causal)
        placed = [tensor.to(device.name) for tensor in inputs]
        plain = 0.0
        for backend in BACKENDS:
            output = _output(backend, placed, case)
            if output is None:
                continue
            shapes[backend] += 1
            error = _largest_error(backend, case, output, exact)
            if backend == MATH:
                plain, share = error, numerics.relative_error(output, exact) / PLAIN_ERROR[case.precision]
            else:
                share = error / (FACTOR * plain + 1e-5)
            if share > worst:
                worst, where = share, f"{backend}, {case}: largest error {error:.2e}, plain attention's {plain:.2e}"
    if shapes[MATH] < len(chosen):
        raise Inconclusive("torch refuses plain attention, with which the others are compared")
    return Comparison(len(chosen), dict(shapes), worst, where)


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


def _output(backend: str, placed: list["torch.Tensor"], case: Case) -> "torch.Tensor | None":
    import torch

    query, key, value = placed
    try:
        with torch.inference_mode(), numerics.exact_matmul(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns why it refuses a kernel
            return attend(backend, query, key, value, case.causal)
    except RuntimeError as error:
        first = next(iter(str(error).splitlines()), "no message")
        raise Inconclusive(f"{backend} supports {case} but ends with: {first}") from error


def _inputs(case: Case) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Query, key and value of shape (1, heads, length, head_dim), rounded to the precision, on the CPU."""
    import torch

    generator = torch.Generator("cpu").manual_seed(case.head_dim + case.kv_heads)
    dtype = numerics.dtype(case.precision)
    query = torch.randn(1, HEADS, case.queries, case.head_dim, generator=generator)
    key, value = (torch.randn(1, case.kv_heads, case.keys, case.head_dim, generator=generator) for _ in range(2))
    if case.negative:
        direction = torch.randint(0, 2, (case.head_dim,), generator=generator) * 2.0 - 1
        query, key = query + direction, key - SHIFT * direction
    return query.to(dtype), key.to(dtype), value.to(dtype)


def by_hand(query: "torch.Tensor", key: "torch.Tensor", value: "torch.Tensor", causal: bool) -> "torch.Tensor":
    """softmax(QK^T / sqrt(d)) V in fp64, independent of torch's attention.

    `query` is of shape (batch, heads, queries, d), `key` and `value` (batch, kv_heads, keys, d); heads are repeated.
    """
    import torch

    repeats = query.shape[1] // key.shape[1]
    keys, values = (tensor.double().repeat_interleave(repeats, 1) for tensor in (key, value))
    scores = query.double() @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores.softmax(-1) @ values


def _largest_error(backend: str, case: Case, output: "torch.Tensor", exact: "torch.Tensor") -> float:
    output = output.cpu().double()
    not_finite = int((~output.isfinite()).sum())
    if not_finite:
        raise Wrong(f"{backend}, {case}: {not_finite} of {output.numel()} values are not finite numbers")
    return float((output - exact).abs().max())
