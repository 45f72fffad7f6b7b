"""Linear layers: errors of matmul and softmax against fp64, which show that a device computes correctly."""

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

SIZES = ((512, 2048, 512), (384, 1000, 640))
"""Rows, inner size and columns; the second is no multiple of any tile, so that edges are computed too."""

LAYERS = ((128, 4096, 6144), (128, 14336, 4096), (333, 1024, 4096), (1, 4096, 4096), (7, 5001, 3001))
"""Rows, inner size and columns of linear layers: an 8 B Llama's, a single row as in decode, and odd edges."""


def matmul_error(device: Device, precision: str) -> float:
    """The largest relative error of matmuls of random numbers against fp64 on the CPU."""
    import torch

    errors = []
    for rows, inner, columns in SIZES:
        generator = torch.Generator("cpu").manual_seed(rows)
        left = torch.randn(rows, inner, generator=generator).to(numerics.dtype(precision))
        right = torch.randn(inner, columns, generator=generator).to(numerics.dtype(precision))
        with numerics.exact_matmul():
            result = left.to(device.name) @ right.to(device.name)
        errors.append(numerics.relative_error(result, left.double() @ right.double()))
    return max(errors)


def layer_errors(device: Device, precision: str) -> dict[str, float]:
    """Relative error of the worst row of linear layers of random numbers against fp64 on the CPU, by shape."""
    import torch
    from torch.nn.functional import linear

    errors = {}
    for rows, inner, columns in LAYERS:
        generator = torch.Generator("cpu").manual_seed(rows)
        left, weights = (torch.randn(count, inner, generator=generator) for count in (rows, columns))
        left, weights = left.to(numerics.dtype(precision)), weights.to(numerics.dtype(precision))
        with torch.inference_mode(), numerics.exact_matmul():
            outputs = linear(left.to(device.name), weights.to(device.name))
        exact = left.double() @ weights.double().T
        errors[f"{rows}x{inner}x{columns}"] = numerics.worst_part(outputs, exact, columns)
    return errors


def supports_bf16(device: Device) -> bool:
    """Whether the device computes in bf16 without emulation; a CPU always does."""
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
