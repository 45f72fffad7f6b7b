"""Kernel: the smallest work that shows that a device computes, and computes right, in one precision."""

from dgxcert.device import Device
from dgxcert.workloads import numerics

SIZES = ((512, 2048, 512), (384, 1000, 640))
"""Rows, inner and columns; the second is no multiple of any tile, so that edges are computed too."""


def product_error(device: Device, precision: str) -> float:
    """The largest relative error of matrix products of random numbers against fp64 on the CPU of the same inputs."""
    import torch

    errors = []
    for rows, inner, columns in SIZES:
        generator = torch.Generator("cpu").manual_seed(rows)
        left = torch.randn(rows, inner, generator=generator).to(numerics.dtype(precision))
        right = torch.randn(inner, columns, generator=generator).to(numerics.dtype(precision))
        with numerics.exact_products():
            found = left.to(device.name) @ right.to(device.name)
        errors.append(numerics.relative_error(found, left.double() @ right.double()))
    return max(errors)


def supports_bf16(device: Device) -> bool:
    """Whether the device itself computes in bf16; emulation does not count. torch's CPU code always can."""
    import torch

    if device.kind == "cpu":
        return True
    with torch.cuda.device(device.index):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def softmax_error(device: Device) -> float:
    """Relative error of a softmax over fp32 rows against fp64 on the CPU: exponentials, maxima and sums."""
    import torch

    rows = torch.randn(256, 4099, generator=torch.Generator("cpu").manual_seed(5)) * 4
    return numerics.relative_error(rows.to(device.name).softmax(-1), rows.double().softmax(-1))
