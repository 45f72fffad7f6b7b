"""Tiled QLoRA: frozen NF4 layers whose product dequantises a tile of weights at a time, where that is faster.

bitsandbytes writes a whole matrix in 16 bits before it multiplies many rows with it. A kernel that dequantises tiles on
their way to the tensor cores saves writing and reading it, but dequantises a tile again for each block of rows, so that
it depends on the shape which is faster: each is checked and timed before the training.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics, refusals
from dgxcert.workloads.models.four_bit import operator
from dgxcert.workloads.models.four_bit.weights import FourBit
from dgxcert.workloads.models.nf4 import BLOCK
from dgxcert.workloads.training import exact_gradients

if TYPE_CHECKING:
    import torch

LEAST_GAIN = 0.02
"""Share of the time of a layer's forward and backward pass that the tile must save."""
TURNS = 5
CHECKED_ROWS = 16
"""Rows of outputs and of gradients that are compared with fp64, of all that are computed."""
SEED = 31

Product = Callable[..., "torch.Tensor"]
"""Outputs (rows, outer) of inputs (rows, inner) and the four tensors of a `FourBit`, by a kernel that dequantises
tiles."""
NO_TILES = "Triton, which compiles the tile, is for GPUs"


@dataclass
class Choice:
    """Which layers go through the tile, with the trial of each shape."""

    layers: int = 0
    tiled: int = 0
    tried: list[str] = field(default_factory=list)

    def record(self, evidence: Recorder) -> None:
        """Record how many layers go through the tile, and what the trial of each shape gave."""
        source = "trial before the training: " + "; ".join(self.tried)
        evidence.record("NF4 layers through tiles", self.tiled, unit=f"of {self.layers}", source=source)


@cache
def _function(product: Product) -> Any:
    """The autograd function of a product; torch is imported only where it is used."""
    import torch

    class TiledProduct(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
        """A product with frozen NF4 weights: `product` forward, their dequantised matrix backward.

        All it takes are tensors, so that torch.compile can take it into a graph.
        """

        @staticmethod
        def forward(
            ctx: Any,
            inputs: torch.Tensor,
            packed: torch.Tensor,
            absmax: torch.Tensor,
            second: torch.Tensor,
            levels: torch.Tensor,
        ) -> torch.Tensor:
            ctx.save_for_backward(packed, absmax)
            return product(inputs, packed, absmax, second, levels)

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
            (gradient,) = gradients
            packed, absmax = ctx.saved_tensors
            shape = (packed.shape[0], 2 * packed.shape[1])
            dequantise = torch.ops.bitsandbytes.dequantize_4bit
            weights = dequantise(packed.view(-1, 1), absmax.view(-1), BLOCK, "nf4", shape, gradient.dtype)
            return gradient @ weights, None, None, None, None

    return TiledProduct


def before_training(device: Device, model: Any, tokens: int, compute: str) -> Choice:
    """Send the NF4 layers of a model through tiles where that pays; on a CPU, and without a kernel, none.

    `tokens` is how many a step has, and `compute` the precision in which they are.
    """
    product = NO_TILES if device.kind == "cpu" else _kernel()
    if isinstance(product, str):
        return Choice(tried=[product])
    choice = choose(device, model, tokens, numerics.dtype(compute), product, timed=True)
    device.release()  # the inputs and gradients of the trial
    return choice


def _kernel() -> Product | str:
    """The tile's operator of torch, or why there is none."""
    try:
        return operator.register()
    except ImportError as missing:  # of Triton, which comes with torch for CUDA
        return f"no kernel: {missing}"


def choose(device: Device, model: Any, tokens: int, dtype: "torch.dtype", product: Product, timed: bool) -> Choice:
    """Send the NF4 layers of a model through tiles, shape by shape, where `product` is right and faster.

    `tokens` is how many a step has, and `dtype` what they are computed in. Without `timed` every right shape is sent.
    """
    import bitsandbytes

    by_shape: dict[tuple[int, int], list[Any]] = {}
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            by_shape.setdefault((module.out_features, module.in_features), []).append(module)
    choice = Choice(layers=sum(map(len, by_shape.values())))
    for (outer, inner), layers in by_shape.items():
        trial = _Trial(device, layers[0], tokens, dtype, product)
        obstacle = trial.obstacle()
        share = trial.share() if timed and not obstacle else 0.0
        if not obstacle and share <= 1 - LEAST_GAIN:
            for layer in layers:
                layer.forward = _forward(layer, product)
            choice.tiled += len(layers)
        outcome = obstacle or (f"{share:.3f} of bitsandbytes' time" if timed else "right; not timed")
        choice.tried.append(f"{outer}x{inner}: {outcome}")
    return choice


def _forward(layer: Any, product: Product) -> "Callable[[torch.Tensor], torch.Tensor]":
    """What a layer's `forward` is replaced by."""
    exact_gradients.require_plain_nf4(layer.weight.quant_state)
    weights, compute, function = FourBit.nf4(layer), layer.compute_dtype, _function(product)

    def forward(inputs: "torch.Tensor") -> "torch.Tensor":
        rows = inputs.reshape(-1, inputs.shape[-1]).to(compute or inputs.dtype)
        outputs: torch.Tensor = function.apply(rows, *weights).to(inputs.dtype)
        return outputs.view(*inputs.shape[:-1], outputs.shape[-1])

    return forward


class _Trial:
    """One layer, forward and backward, through tiles and as it is."""

    def __init__(self, device: Device, layer: Any, tokens: int, dtype: "torch.dtype", product: Product) -> None:
        import torch

        self._device, self._layer, self._tiled_forward = device, layer, _forward(layer, product)
        generator = torch.Generator("cpu").manual_seed(SEED)
        self._inputs = torch.randn(tokens, layer.in_features, generator=generator).to(device.name, dtype)
        self._inputs.requires_grad_()
        self._upstream = torch.randn(tokens, layer.out_features, generator=generator).to(device.name, dtype)

    def _tiled(self) -> "torch.Tensor":
        return self._tiled_forward(self._inputs)

    def _plain(self) -> "torch.Tensor":
        outputs: torch.Tensor = type(self._layer).forward(self._layer, self._inputs)
        return outputs

    def obstacle(self) -> str:
        """Why tiles cannot be used, by their error against fp64; empty where they can."""
        import torch

        try:
            outputs = self._tiled()
            (gradient,) = torch.autograd.grad(outputs, self._inputs, self._upstream)
            error = self._error(outputs.detach(), gradient)
        except refusals.kinds() as refusal:
            return refusals.said(refusal)
        limit = numerics.matmul_tolerance("nf4").max or 0.0
        return "" if error <= limit else f"refused, its error is {error:.2g}, at most {limit:g} is allowed"

    def _error(self, outputs: "torch.Tensor", gradient: "torch.Tensor") -> float:
        """The larger of both relative errors against fp64, of some rows. Raises Wrong for what is no number."""
        import torch

        rows = torch.linspace(0, len(self._inputs) - 1, CHECKED_ROWS, device=self._inputs.device).long()
        weights = exact_gradients.dequantised(self._layer.weight.data, self._layer.weight.quant_state).double()
        exact = self._inputs.detach()[rows].double() @ weights.T
        exact_gradient = self._upstream[rows].double() @ weights
        return max(
            numerics.relative_error(outputs[rows], exact), numerics.relative_error(gradient[rows], exact_gradient)
        )

    def share(self) -> float:
        """Median time of a forward and a backward pass through tiles, as a share of the plain one's, in turns."""
        pairs = [(self._seconds(self._tiled), self._seconds(self._plain)) for _ in range(TURNS)]
        return statistics.median(pair[0] for pair in pairs) / statistics.median(pair[1] for pair in pairs)

    def _seconds(self, forward: "Callable[[], torch.Tensor]") -> float:
        import torch

        self._device.wait()
        start = time.perf_counter()
        torch.autograd.grad(forward(), self._inputs, self._upstream)
        self._device.wait()
        return time.perf_counter() - start
