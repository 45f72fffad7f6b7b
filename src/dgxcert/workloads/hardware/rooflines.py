"""Roofline: the rates that no machine with given peaks can exceed, from each workload's real bytes and operations.

The formulas count only what cannot be avoided (weights read once, causal attention halved), so a bound is
never too low: what exceeds it was measured wrongly.
"""

from dataclasses import dataclass

from dgxcert.judgement.limit import Bound, Roofline
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab
from dgxcert.workloads.models.architectures import Shape

BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "nf4": 4.5 / 8, "int4": 4.25 / 8}
"""Bytes per weight; NF4 has one fp32 scale per block of 64 (4.5 bits), int4 a bf16 scale and zero per 128 (4.25)."""


@dataclass(frozen=True)
class Peaks:
    """Bandwidth in GB/s and products in TFLOP/s at one precision: physical, or measured in this run."""

    bandwidth: Bound
    products: Bound

    @classmethod
    def of(cls, profile: Profile, compute: str) -> "Peaks":
        """The physical peaks of a profile; raises Inconclusive where it has none."""
        return cls(profile.peak("memory_bandwidth"), profile.peak(f"matmul.{compute}"))


@dataclass(frozen=True)
class Cost:
    """What a piece of work cannot do without: bytes moved and floating-point operations."""

    bytes: float
    flops: float

    def bound(self, amount: float, unit: str, peaks: Peaks) -> Roofline:
        """The rate of `amount` units of work at this cost."""
        memory_s = self.bytes / (peaks.bandwidth.value * 1e9)
        compute_s = self.flops / (peaks.products.value * 1e12)
        peak, needed = peaks.products, f"TFLOP/s over {self.flops / 1e12:.4g} TFLOP"
        if memory_s >= compute_s:
            peak, needed = peaks.bandwidth, f"GB/s over {self.bytes / 1e9:.4g} GB"
        least_s = max(memory_s, compute_s)
        return Roofline(
            value=amount / least_s,
            unit=unit,
            source=f"{peak.value:.4g} {needed} per {_each(amount, unit)}; {peak.source}",
            intensity=self.flops / self.bytes,
            tflops=self.flops / least_s / 1e12,
        )


def _each(amount: float, unit: str) -> str:
    noun = unit.split("/")[0]
    return noun if amount == 1 else f"{amount:g} {noun}s"


def weight_bytes(shape: Shape, precision: str, compute: str) -> float:
    """Bytes of all weights that one forward pass reads: every matrix once, lm_head in the computing precision."""
    return shape.layer_parameters * BYTES[precision] + shape.head_parameters * BYTES[compute]


def decode(shape: Shape, precision: str, compute: str, context: int, batch: int = 1) -> Cost:
    """One token for each of `batch` rows: every weight is read once, and each row's key-value cache."""
    cache = batch * shape.cache_values_per_token * BYTES[compute] * context
    attention = 4.0 * shape.layers * shape.heads * shape.head_dim * context
    flops = batch * (2.0 * (shape.layer_parameters + shape.head_parameters) + attention)
    return Cost(weight_bytes(shape, precision, compute) + cache, flops)


def prefill(shape: Shape, precision: str, compute: str, tokens: int, batch: int = 1) -> Cost:
    """`batch` rows of `tokens`: 2 operations per weight and token, causal attention, lm_head for last tokens only."""
    attention = 2.0 * shape.layers * shape.heads * shape.head_dim * tokens**2
    flops = 2.0 * shape.layer_parameters * tokens + 2.0 * shape.head_parameters + attention
    return Cost(weight_bytes(shape, precision, compute), batch * flops)


def lora(shape: Shape, precision: str, compute: str, tokens: int) -> Cost:
    """One training step on `tokens`: 4 operations per weight and token, as frozen weights need no gradient.

    Nor does what the first layer reads, so that its queries, keys and values cost half.
    """
    parameters = shape.layer_parameters + shape.head_parameters
    unneeded = 2.0 * tokens * shape.hidden * shape.head_dim * (shape.heads + 2 * shape.kv_heads)
    return Cost(2 * weight_bytes(shape, precision, compute), 4.0 * parameters * tokens - unneeded)


def lora_encoder(sizes: Lab, compute: str, tokens: int) -> Cost:
    """The same of the course's encoder, whose weights are held in 32 bits."""
    parameters = sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate)
    unneeded = 2.0 * tokens * 3 * sizes.hidden**2
    return Cost(2 * parameters * BYTES[compute], 4.0 * parameters * tokens - unneeded)
