"""Computations: seeded products, attention and a training step, which give the same bits on all GPUs of a kind.

Inputs are drawn on the CPU, so that a GPU that draws or stores them wrongly is found too. Each computation has enough
tiles to keep every multiprocessor busy. Only kernels that add up in a fixed order are used: torch's deterministic
algorithms are on, under which the backward passes of flash and memory-efficient attention use no atomics (torch,
"Reproducibility"); cuDNN's has no such way in torch, so that its attention is computed forwards only.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from dgxcert.machine.device import Device
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.correctness import attention, attention_reference
from dgxcert.workloads.correctness.attention import Case
from dgxcert.workloads.correctness.same_bits import training_step
from dgxcert.workloads.correctness.same_bits.training_step import Sizes
from dgxcert.workloads.hardware.matmul import MIN_CAPABILITY

if TYPE_CHECKING:
    import torch

PRECISIONS = {"cuda": ("fp32", "tf32", "fp16", "bf16", "fp8"), "cpu": ("fp32", "bf16")}
SHAPES = {
    "cuda": ((4096, 4096, 4096, 1), (4096, 4096, 4096, 2), (2048, 8192, 6144, 3), (16, 14336, 4096, 4)),
    "cpu": ((128, 256, 192, 1), (128, 256, 192, 2), (16, 512, 128, 3)),
}
"""Rows, inner size, columns and seed of products: square ones, a large inner size, and the few rows of decoding, whose
sums cuBLAS splits over multiprocessors. All are multiples of 16, as fp8 needs."""
CASES = {
    "cuda": (
        *(Case(precision, 32, 8, 128, 1024, 1024, causal=True, batch=2) for precision in ("bf16", "fp16")),
        *(Case(precision, 16, 16, 64, 777, 777, causal=False, batch=4) for precision in ("bf16", "fp16")),
    ),
    "cpu": (Case("fp32", 4, 2, 64, 96, 96, causal=True), Case("bf16", 4, 4, 64, 65, 65, causal=False)),
}
FORWARD_ONLY = ("CUDNN_ATTENTION",)
TRAINING = {
    "cuda": (
        Sizes("bf16", layers=2, width=1024, heads=8, inner=4096, vocabulary=8192, batch=8, length=512),
        Sizes("fp32", layers=2, width=1024, heads=8, inner=4096, vocabulary=8192, batch=4, length=512),
    ),
    "cpu": (Sizes("fp32", layers=2, width=64, heads=2, inner=128, vocabulary=256, batch=2, length=32),),
}
INDETERMINATE = "deterministic"
"""In torch's message where a kernel has no deterministic form."""


class Computation(Protocol):
    """Work whose results must be the same bits on all GPUs of a kind."""

    def results(self, device: Device) -> "Iterator[dict[str, torch.Tensor]]":
        """Results by name, computed twice from inputs that are placed once; nothing where a device has no such work."""

    def exact(self, name: str, positions: "torch.Tensor") -> "torch.Tensor | None":
        """The exact values of a result at flat positions, in fp64 on the CPU; None where there are none."""


def every(kind: str) -> Iterator[Computation]:
    """All computations of a kind of device."""
    for rows, inner, columns, seed in SHAPES[kind]:
        for precision in PRECISIONS[kind]:
            yield Product(precision, rows, inner, columns, seed)
    for case in CASES[kind]:
        for backend in attention.BACKENDS:
            yield Attention(backend, case)
    for sizes in TRAINING[kind]:
        yield TrainingStep(sizes)


@lru_cache(maxsize=1)
def _drawn(rows: int, inner: int, columns: int, seed: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Two fp32 matrices, which all precisions of a shape share."""
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(rows, inner, generator=generator), torch.randn(inner, columns, generator=generator)


@lru_cache(maxsize=1)
def _attended(case: Case) -> "list[torch.Tensor]":
    """Query, key, value and the gradient of the output, which all kernels share."""
    return attention.make_inputs(case)


@dataclass(frozen=True)
class Product:
    """A product of two seeded N(0, 1) matrices, (rows, inner) and (inner, columns)."""

    precision: str
    rows: int
    inner: int
    columns: int
    seed: int

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.precision} product of {self.rows}x{self.inner}x{self.columns} with seed {self.seed}"

    def results(self, device: Device) -> "Iterator[dict[str, torch.Tensor]]":
        """The product, twice; nothing where the GPU has no such precision."""
        import torch

        if device.kind == "cuda" and torch.cuda.get_device_capability(device.index) < MIN_CAPABILITY.get(
            self.precision, (0, 0)
        ):
            return
        values = self.rows * self.inner + self.inner * self.columns + 3 * self.rows * self.columns
        allocation.require(device, 4.0 * values, self.name)
        left, right = (matrix.to(device.name) for matrix in self._rounded())
        for _ in range(2):
            with torch.inference_mode(), numerics.exact_matmul(tf32=self.precision == "tf32"):
                product = self._multiplied(left, right)
            yield {self.name: product}

    def exact(self, name: str, positions: "torch.Tensor") -> "torch.Tensor | None":
        """Products of rows and columns, of the rounded matrices."""
        if name != self.name:
            return None
        left, right = self._rounded()
        rows, columns = left[positions // self.columns].double(), right.t()[positions % self.columns].double()
        return (rows * columns).sum(1)

    def _rounded(self) -> "tuple[torch.Tensor, torch.Tensor]":
        dtype = numerics.dtype(self.precision)
        left, right = _drawn(self.rows, self.inner, self.columns, self.seed)
        return left.to(dtype), right.to(dtype)

    def _multiplied(self, left: "torch.Tensor", right: "torch.Tensor") -> "torch.Tensor":
        import torch

        if self.precision != "fp8":
            return left @ right
        scale = torch.ones((), device=left.device)
        across = right.t().contiguous().t()  # cuBLASLt multiplies fp8 only with a column-major right matrix
        result: torch.Tensor = torch._scaled_mm(left, across, scale, scale, out_dtype=torch.bfloat16)
        return result


@dataclass(frozen=True)
class Attention:
    """Attention by one of torch's kernels, with its gradients where these are added up in a fixed order."""

    backend: str
    case: Case

    def results(self, device: Device) -> "Iterator[dict[str, torch.Tensor]]":
        """Output and gradients, twice; nothing where torch refuses this kernel here."""
        allocation.require(device, attention.SCORE_BYTES * self.case.scores, f"attention of {self.case}")
        *inputs, gradient = (tensor.to(device.name) for tensor in _attended(self.case))
        for _ in range(2):
            found = self._computed([tensor.detach().requires_grad_() for tensor in inputs], gradient)
            yield {self._named(name): tensor.detach() for name, tensor in found.items()}

    def exact(self, name: str, positions: "torch.Tensor") -> "torch.Tensor | None":
        """Attention in fp64 on the CPU."""
        query, key, value, gradient = _attended(self.case)
        wanted = attention_reference.compute(
            query, key, value, gradient, causal=self.case.causal, precision=self.case.precision
        )
        return next(exact.values.flatten()[positions] for part, exact in wanted.items() if self._named(part) == name)

    def _named(self, part: str) -> str:
        return f"{part} of {self.backend}, {self.case}"

    def _computed(self, inputs: "list[torch.Tensor]", gradient: "torch.Tensor") -> "dict[str, torch.Tensor]":
        import torch

        try:
            with numerics.exact_matmul(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns why it refuses a kernel
                output = attention.attend(self.backend, inputs[0], inputs[1], inputs[2], self.case.causal)
                if output is None:
                    return {}
                gradients = () if self.backend in FORWARD_ONLY else torch.autograd.grad(output, inputs, gradient)
                return dict(zip(attention_reference.NAMES, (output, *gradients), strict=False))
        except RuntimeError as error:
            if INDETERMINATE in str(error):
                return {}
            raise


@dataclass(frozen=True)
class TrainingStep:
    """One step of training: forward, backward, fused AdamW."""

    sizes: Sizes

    def results(self, device: Device) -> "Iterator[dict[str, torch.Tensor]]":
        """All gradients and all weights after the step, twice."""
        allocation.require(device, self.sizes.needed_bytes, "a training step")
        weights = {name: values.to(device.name) for name, values in training_step.initial(self.sizes).items()}
        ids = training_step.tokens(self.sizes).to(device.name)
        for _ in range(2):
            with numerics.exact_matmul():
                gradients, trained = training_step.step(self.sizes, weights, ids)
            yield {self._named("gradients"): gradients, self._named("weights"): trained}

    def exact(self, name: str, positions: "torch.Tensor") -> "torch.Tensor | None":
        """The gradients in fp64 on the CPU. AdamW divides by them: what is exact after that depends on their noise."""
        if name != self._named("gradients"):
            return None
        weights = {name: values.double() for name, values in training_step.initial(self.sizes).items()}
        return training_step.gradients(self.sizes, weights, training_step.tokens(self.sizes))[positions]

    def _named(self, part: str) -> str:
        return f"{part} of a {self.sizes.precision} training step"
