"""Attention by hand: the course's three lines against torch's one call, plain, causal and with grouped heads."""

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention

BATCH, HEADS, LENGTH, HEAD_DIM = 2, 8, 97, 64
VARIANTS = {"plain": (HEADS, False), "causal": (HEADS, True), "grouped": (2, True)}
"""Name: heads of keys and values, causal."""

TOLERANCE = {
    "fp32": (1e-4, "1e-6 measured in 24 bits; a wrong scale, mask or head changes a third of the answer and more"),
    "bf16": (1e-2, "weights of keys and result rounded to 8 bits make 2.4e-3, times four; see ATTENTION-CORRECT"),
}


def precision(device: Device) -> str:
    """What is computed in: what models are run in on that kind of device."""
    return "bf16" if device.kind == "cuda" else "fp32"


def tolerance(device: Device) -> Limit:
    """The largest relative error of a right answer."""
    value, source = TOLERANCE[precision(device)]
    return Limit(name="tolerance of attention by hand", max=value, unit="relative", source=source)


def error(device: Device, variant: str) -> float:
    """Relative error of `scaled_dot_product_attention` on the device against the formula by hand in fp64."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    kv_heads, causal = VARIANTS[variant]
    generator = torch.Generator("cpu").manual_seed(kv_heads)
    kind = numerics.dtype(precision(device))
    query = torch.randn(BATCH, HEADS, LENGTH, HEAD_DIM, generator=generator).to(kind)
    key, value = (torch.randn(BATCH, kv_heads, LENGTH, HEAD_DIM, generator=generator).to(kind) for _ in range(2))
    with torch.no_grad(), numerics.exact_products():
        found = scaled_dot_product_attention(
            query.to(device.name),
            key.to(device.name),
            value.to(device.name),
            is_causal=causal,
            enable_gqa=kv_heads < HEADS,
        )
    return numerics.relative_error(found, attention.by_hand(query, key, value, causal))
