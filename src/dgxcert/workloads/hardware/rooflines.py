"""Rooflines: the rates that no machine with given peaks can exceed, from the bytes and operations of each workload.

The formulas count only what cannot be avoided (weights read once, half of the scores of causal attention), so a bound
is never too low: a rate above it was measured wrongly. The model is that of Williams, Waterman and Patterson (2009).
"""

from dataclasses import dataclass

from dgxcert.judgement.limit import Bound, Roofline
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab
from dgxcert.workloads.models.architectures import BYTES, Shape, weight_bytes


@dataclass(frozen=True)
class Peaks:
    """Bandwidth in GB/s and matmul rate in TFLOP/s at one precision: physical, or measured in this run."""

    bandwidth: Bound
    matmul: Bound

    @classmethod
    def of(cls, profile: Profile, compute: str) -> "Peaks":
        """The physical peaks of a profile; raises Inconclusive where it has none."""
        return cls(profile.peak("memory_bandwidth"), profile.peak(f"matmul.{compute}"))


@dataclass(frozen=True)
class Cost:
    """Bytes moved and floating-point operations that a piece of work needs at least."""

    bytes: float
    flops: float

    def bound(self, amount: float, unit: str, peaks: Peaks) -> Roofline:
        """The highest rate of `amount` units of work at this cost: the slower of its memory and its arithmetic.

        >>> memory = Bound(value=273, unit="GB/s", source="LPDDR5X")
        >>> spark = Peaks(memory, Bound(value=100, unit="TFLOP/s", source="tensor cores"))
        >>> bound = Cost(bytes=16e9, flops=16e9).bound(1, "token/s", spark)
        >>> round(bound.value, 1), bound.source
        (17.1, '273 GB/s over 16 GB per token; LPDDR5X')
        """
        memory_s = self.bytes / (peaks.bandwidth.value * 1e9)
        compute_s = self.flops / (peaks.matmul.value * 1e12)
        peak, needed = peaks.matmul, f"TFLOP/s over {self.flops / 1e12:.4g} TFLOP"
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


def decode(shape: Shape, precision: str, compute: str, context: int, batch: int = 1) -> Cost:
    """One token for each of `batch` rows: every weight is read once, and each row's KV cache of `context` tokens.

    An 8 B model in bf16 on the 273 GB/s of a DGX Spark:

    >>> from dgxcert.workloads.models import architectures
    >>> cost = decode(architectures.find("llama-3.1-8b"), "bf16", "bf16", context=2048)
    >>> f"{cost.bytes / 1e9:.1f} GB per token, at most {273e9 / cost.bytes:.1f} token/s"
    '15.3 GB per token, at most 17.9 token/s'
    """
    kv_cache = batch * shape.cache_values_per_token * BYTES[compute] * context
    attention = 4.0 * shape.layers * shape.heads * shape.head_dim * context
    flops = batch * (2.0 * (shape.layer_parameters + shape.head_parameters) + attention)
    return Cost(weight_bytes(shape, precision, compute) + kv_cache, flops)


def prefill(shape: Shape, precision: str, compute: str, tokens: int, batch: int = 1) -> Cost:
    """`batch` prompts of `tokens`: 2 operations per weight and token, causal attention, lm_head for last tokens only.

    >>> from dgxcert.workloads.models import architectures
    >>> cost = prefill(architectures.find("llama-3.1-8b"), "bf16", "bf16", tokens=2048)
    >>> f"{cost.flops / 1e12:.1f} TFLOP"
    '29.7 TFLOP'
    """
    attention = 2.0 * shape.layers * shape.heads * shape.head_dim * tokens**2
    flops = 2.0 * shape.layer_parameters * tokens + 2.0 * shape.head_parameters + attention
    return Cost(weight_bytes(shape, precision, compute), batch * flops)


def lora(shape: Shape, precision: str, compute: str, tokens: int) -> Cost:
    """One training step on `tokens`: 4 operations per weight and token, as frozen weights need no gradient.

    Nor do the inputs of the first layer, so that its q_proj, k_proj and v_proj cost half.
    """
    parameters = shape.layer_parameters + shape.head_parameters
    unneeded = 2.0 * tokens * shape.hidden * shape.head_dim * (shape.heads + 2 * shape.kv_heads)
    return Cost(2 * weight_bytes(shape, precision, compute), 4.0 * parameters * tokens - unneeded)


def lora_encoder(sizes: Lab, compute: str, tokens: int) -> Cost:
    """One training step of the course's DistilBERT on `tokens`, whose frozen weights need no gradient."""
    parameters = sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate)
    unneeded = 2.0 * tokens * 3 * sizes.hidden**2
    return Cost(2 * parameters * BYTES[compute], 4.0 * parameters * tokens - unneeded)
