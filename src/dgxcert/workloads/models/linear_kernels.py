"""Linear kernels: the fastest way to compute a linear layer without bias, by device and precision."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.workloads.models.four_bit import operator

if TYPE_CHECKING:
    import torch

Weights = tuple[Any, ...]
"""What a kernel multiplies with: one dense matrix, packed int4 weights and their scales, or bitsandbytes layers."""
LinearKernel = Callable[["torch.Tensor", Weights], "torch.Tensor"]
"""Inputs (..., in_features) and weights to outputs (..., out_features)."""


def torch_linear(inputs: "torch.Tensor", weights: Weights) -> "torch.Tensor":
    """torch's own linear layer, with one matrix (out_features, in_features): cuBLAS on a GPU.

    >>> import torch
    >>> torch_linear(torch.tensor([[1.0, 2.0]]), (torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),))
    tensor([[11., 17., 23.]])
    """
    import torch

    return torch.nn.functional.linear(inputs, weights[0])


def onednn_linear(inputs: "torch.Tensor", weights: Weights) -> "torch.Tensor":
    """oneDNN's linear layer, with one matrix (out_features, in_features); on a CPU only."""
    import torch

    # The operator that inductor puts in place of a linear layer; it has no public name.
    outputs: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weights[0], None, "none", [], "")
    return outputs


def dense(device: Device, dtype: "torch.dtype") -> LinearKernel:
    """The fastest kernel for a dense matrix of this type on a device."""
    import torch

    # For fp32 torch calls MKL where it is built with it, which on AMD CPUs reaches half of oneDNN's rate.
    calls_mkl = device.kind == "cpu" and dtype is torch.float32 and torch.backends.mkl.is_available()
    has_onednn = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return onednn_linear if calls_mkl and has_onednn else torch_linear


def bitsandbytes_linear(inputs: "torch.Tensor", layers: Weights) -> "torch.Tensor":
    """The outputs of bitsandbytes `Linear4bit` layers that read the same inputs, side by side."""
    import torch

    return torch.cat([layer(inputs) for layer in layers], -1)


def four_bit_linear(inputs: "torch.Tensor", weights: Weights) -> "torch.Tensor":
    """The linear layer of a `FourBit` by our own kernels, with inputs in bf16; raises ImportError without Triton."""
    multiply = operator.register()
    return multiply(inputs.reshape(-1, inputs.shape[-1]), *weights).unflatten(0, inputs.shape[:-1])
