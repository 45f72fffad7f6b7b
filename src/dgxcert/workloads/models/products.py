"""Products of a layer: rows times weights, by whichever way is the fastest on a device and in a precision."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import INT4, NF4
from dgxcert.machine.device import Device
from dgxcert.workloads.models import int4

if TYPE_CHECKING:
    import torch

Weights = tuple[Any, ...]
Product = Callable[["torch.Tensor", Weights], "torch.Tensor"]


def linear(rows: "torch.Tensor", weights: Weights) -> "torch.Tensor":
    """Rows (..., inner) times a matrix (outer, inner): (..., outer)."""
    import torch

    return torch.nn.functional.linear(rows, weights[0])


def by_onednn(rows: "torch.Tensor", weights: Weights) -> "torch.Tensor":
    """The same by oneDNN. For 32 bits torch asks MKL where it has one, which on AMD multiplies at half this rate.

    The operator is the one that torch's own compiler puts in place of a linear layer.
    """
    import torch

    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, weights[0], None, "none", [], "")
    return product


def dense(device: Device, kind: "torch.dtype") -> Product:
    """The fastest product for matrices of this type on a device."""
    import torch

    slow = device.kind == "cpu" and kind is torch.float32 and torch.backends.mkl.is_available()
    can = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return by_onednn if slow and can else linear


def four_bit(rows: "torch.Tensor", modules: Weights) -> "torch.Tensor":
    """The outputs of bitsandbytes' own layers, side by side."""
    import torch

    return torch.cat([module(rows) for module in modules], -1)


SMALLER: dict[str, Product] = {INT4: int4.product, NF4: four_bit}
"""Products with weights of four bits."""
