"""Numerics: errors against fp64, and the tolerances of matmuls and logits by precision."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Inconclusive, Wrong

if TYPE_CHECKING:
    import torch

MATMUL_ERROR = {
    "fp32": (
        1e-5,
        "twenty times the error of fp32 matmul at K up to 14k; TF32 (3e-4) must not pass as fp32",
    ),
    "tf32": (
        1.5e-3,
        "rounding both inputs to 11 bits gives 2.9e-4, cutting them off 7.6e-4 (emulated); that times 2. "
        "A matmul of bf16 inputs (2.3e-3) must not pass as TF32",
    ),
    "fp16": (3.2e-4, "2.08e-4 measured on CPU for K of 1k to 14k, rounding of the result to 11 bits, times 1.5"),
    "bf16": (2.5e-3, "1.66e-3 measured on CPU for K of 1k to 14k, rounding of the result to 8 bits, times 1.5"),
    "fp8": (
        2e-2,
        "inputs are exact, the result is rounded to bf16 (1.66e-3); Hopper adds 8-bit products in about 14 bits, which "
        "costs up to 2 % at K of 4096 (DeepSeek-V3 technical report, section 3.3.2)",
    ),
    "nf4": (
        4.5e-3,
        "1.67e-3 measured where weights are dequantised first, 2.63e-3 in bitsandbytes' fused CPU kernel, which also "
        "rounds weights and their scales to bf16, 3.1e-3 to 3.4e-3 emulated for its CUDA kernel for one row, which "
        "rounds table, scale, weight and each product to bf16; that times 1.3",
    ),
    "int4": (4.5e-3, "as NF4: its kernels too round weights, scales and the result to bf16"),
}
"""Relative Frobenius error of a matmul against fp64 of the same rounded inputs."""

PART_FACTOR = 3.0
"""What the worst part of a large product may differ by, in tolerances of the whole: of half a million parts in bf16 the
worst reaches 1.97 by rounding alone, and the size of the matrix makes little difference."""

PATH_DIFFERENCE = {
    "fp32": (1e-3, "two orders of summation in 24 bits through a few dozen layers"),
    "fp16": (0.04, "as bf16, with 3 bits more: an eighth of it"),
    "bf16": (
        0.25,
        "0.08 to 0.13 measured on an H200 with 32 layers, the worst of up to 64 rows, times 2; "
        "logits that have nothing to do with each other give 1.4",
    ),
    "nf4": (0.25, "as bf16, in which it computes: 0.11 measured on an H200"),
    "int4": (0.25, "as bf16, in which it computes: 0.09 measured on an H200"),
}
"""Root mean square difference between two computations of the same logits, in standard deviations of the logits."""
CHOICE = 4.0
"""The reference may rate a chosen token lower than its best by so many such differences: two logits are off by sqrt(2)
times as much, and of thousands of choices the worst is seen. 2 to 4 were measured on an H200; a token at random would
fall short by 4 standard deviations."""

COMPARED_AT_A_TIME = 2**26
"""Values per comparison, which takes a byte or two of memory for each."""


def matmul_tolerance(precision: str) -> Limit:
    """Limit of the relative error of a matmul.

    >>> matmul_tolerance("bf16").max
    0.0025
    """
    value, source = MATMUL_ERROR[precision]
    return Limit(name=f"tolerance of {precision} products", max=value, unit="relative", source=source)


def part_tolerance(precision: str) -> Limit:
    """Limit of the relative error of the worst part of a large matmul.

    >>> part_tolerance("bf16").max
    0.0075
    """
    value, source = MATMUL_ERROR[precision]
    source = f"{PART_FACTOR:g} times the tolerance of the whole: chance makes one part of many worse ({source})"
    return Limit(
        name=f"tolerance of parts of {precision} products", max=PART_FACTOR * value, unit="relative", source=source
    )


def path_tolerance(precision: str) -> Limit:
    """Limit of the difference between two computations of the same logits, in their standard deviations."""
    value, source = PATH_DIFFERENCE[precision]
    return Limit(name=f"tolerance of {precision} paths", max=value, unit="std of logits", source=source)


def choice_tolerance(precision: str) -> Limit:
    """Limit of how much lower one computation may rate a token that another one chose."""
    value, source = PATH_DIFFERENCE[precision]
    source = f"{CHOICE:g} times the difference that logits may have ({source})"
    return Limit(name=f"tolerance of {precision} choices", max=CHOICE * value, unit="std of logits", source=source)


def worst(errors: dict[str, float]) -> str:
    """The name of the largest of several errors, as evidence states it.

    >>> worst({"128x4096x6144": 1.7e-3, "1x4096x4096": 1.6e-3})
    'largest of 2, at 128x4096x6144'
    """
    name = max(errors, key=lambda name: errors[name])
    return f"largest of {len(errors)}, at {name}"


def dtype(precision: str) -> "torch.dtype":
    """torch's type of a precision.

    >>> dtype("bf16")
    torch.bfloat16
    """
    import torch

    return {
        "fp32": torch.float32,
        "tf32": torch.float32,
        "fp8": torch.float8_e4m3fn,
        "fp16": torch.float16,
        "bf16": torch.bfloat16,
    }[precision]


def compute_precision(precision: str, kind: str) -> str:
    """The precision of a matmul with these weights: bf16 for 4-bit ones, but fp32 for NF4 on a CPU, which is faster.

    >>> compute_precision("nf4", "cuda"), compute_precision("nf4", "cpu"), compute_precision("fp16", "cuda")
    ('bf16', 'fp32', 'fp16')
    """
    if precision == INT4 or (precision == NF4 and kind == "cuda"):
        return "bf16"
    return "fp32" if precision == NF4 else precision


def relative_error(actual: "torch.Tensor", exact: "torch.Tensor") -> float:
    """Frobenius norm of the difference over that of the exact result, in fp64 on the CPU.

    Raises what `worst_part` raises.

    >>> import torch
    >>> relative_error(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0]))
    0.1
    """
    return worst_part(actual, exact, exact.numel())


def worst_part(actual: "torch.Tensor", exact: "torch.Tensor", size: int) -> float:
    """The largest relative error of consecutive parts of `size` values: in a whole matrix one bad value does not show.

    Raises Wrong where a value is not finite, since a NaN passes every comparison; Inconclusive where a part of the
    exact result is zero or not finite, which leaves its error undefined.
    """
    computed, expected = (values.detach().cpu().double().reshape(-1, size) for values in (actual, exact))
    broken = int((~computed.isfinite()).sum())
    if broken:
        raise Wrong(f"{broken} of {computed.numel()} computed values are not finite numbers")
    error = float(((computed - expected).norm(dim=1) / expected.norm(dim=1)).max())
    if not math.isfinite(error):
        raise Inconclusive("part of the exact result is zero or not finite, so its error is undefined")
    return error


@contextmanager
def exact_matmul(*, tf32: bool = False) -> Iterator[None]:
    """A context of matmul with fp32 sums: no 16-bit partial sums, and TF32 only with `tf32`."""
    import torch

    flags = torch.backends.cuda.matmul
    settings = {
        "allow_tf32": tf32,
        "allow_fp16_reduced_precision_reduction": False,
        "allow_bf16_reduced_precision_reduction": False,
    }
    before = {name: getattr(flags, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(flags, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(flags, name, value)


def differing(actual: "torch.Tensor", expected: "torch.Tensor") -> "torch.Tensor":
    """How many values differ in any bit, as a number on their device: reading it would wait for the device."""
    import torch

    word = {2: torch.int16, 4: torch.int32}[actual.dtype.itemsize]
    count = torch.zeros((), dtype=torch.int64, device=actual.device)
    both = (values.view(word).flatten().split(COMPARED_AT_A_TIME) for values in (actual, expected))
    for left, right in zip(*both, strict=True):
        count += torch.count_nonzero(left != right)  # `sum` of bools takes a CPU twenty times as long
    return count


def fingerprint(values: "torch.Tensor") -> str:
    """SHA-256 of a tensor's bytes."""
    import torch

    return hashlib.sha256(values.contiguous().view(torch.uint8).cpu().numpy().tobytes()).hexdigest()
