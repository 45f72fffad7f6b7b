"""Attention by hand: torch's one call against softmax(QK^T / sqrt(d)) V, plain, causal and with grouped heads."""

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention

BATCH, HEADS, LENGTH, HEAD_DIM = 2, 8, 97, 64
VARIANTS = {"plain": (HEADS, False), "causal": (HEADS, True), "grouped": (2, True)}
"""Name: heads of keys and values, whether causal."""

TOLERANCE = {
    "fp32": (1e-4, "1e-6 measured in 24 bits; a wrong scale, mask or head changes a third of the answer and more"),
    "bf16": (1e-2, "rounding K, V and the result to 8 bits gives 2.4e-3, times four; see ATTENTION-CORRECT"),
}


def precision(device: Device) -> str:
    """The precision that models run in on that kind of device.

    >>> precision(Device("cpu", 0, "CPU"))
    'fp32'
    """
    return "bf16" if device.kind == "cuda" else "fp32"


def tolerance(device: Device) -> Limit:
    """The largest relative error of a right answer."""
    value, source = TOLERANCE[precision(device)]
    return Limit(name="tolerance of attention by hand", max=value, unit="relative", source=source)


def error(device: Device, variant: str) -> float:
    """Relative error of `scaled_dot_product_attention` on the device against the formula by hand in fp64.

    Raises what `numerics.relative_error` raises.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    kv_heads, causal = VARIANTS[variant]
    generator = torch.Generator("cpu").manual_seed(kv_heads)
    dtype = numerics.dtype(precision(device))
    query = torch.randn(BATCH, HEADS, LENGTH, HEAD_DIM, generator=generator).to(dtype)
    key, value = (torch.randn(BATCH, kv_heads, LENGTH, HEAD_DIM, generator=generator).to(dtype) for _ in range(2))
    with torch.no_grad(), numerics.exact_matmul():
        output = scaled_dot_product_attention(
            query.to(device.name),
            key.to(device.name),
            value.to(device.name),
            is_causal=causal,
            enable_gqa=kv_heads < HEADS,
        )
    return numerics.relative_error(output, attention.by_hand(query, key, value, causal))
