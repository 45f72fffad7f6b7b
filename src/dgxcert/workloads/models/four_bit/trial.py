"""Four-bit trial: our kernels beside the library's on the very products of a model; they are used where that pays.

Products of one layer are compared with fp64 and timed in turns, on random weights that are more than the last cache
holds, as those of a model's other layers are. On a GPU the calls of one timing are a CUDA graph: launched one by one
the host would be timed.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import INT4
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics, refusals
from dgxcert.workloads.models import int4, linear_kernels, nf4
from dgxcert.workloads.models.four_bit import operator
from dgxcert.workloads.models.four_bit.weights import FourBit
from dgxcert.workloads.models.linear_kernels import LinearKernel, Weights

if TYPE_CHECKING:
    import torch

LEAST_GAIN = 0.02
"""Share of the time of a layer's products that our kernels must save."""
TURNS, CALLS, CALLS_OF_MANY = 5, 12, 2
"""Products of one timing: of many rows ATen's int4 kernel takes a tenth of a second each."""
BEYOND_CACHES = 300 * 10**6
"""Bytes of weights that take turns; the last cache of a B200 holds 126 MB."""
MOST_COPIES = 12
CHECKED_ROWS = 16
SEED = 37
NO_TRITON_HERE = "Triton, which compiles our kernels, is for GPUs"

Shape = tuple[int, int]
"""(outer, inner) of a product."""


@dataclass
class Choice:
    """Whether our kernels are used, with the trial of each shape."""

    own: bool = False
    library: str = ""
    tried: list[str] = field(default_factory=list)

    def record(self, evidence: Recorder) -> None:
        """Record whose kernels multiply, and what the trial of each shape gave."""
        source = "trial before the model was built: " + "; ".join(self.tried)
        evidence.record("4-bit products by", "our kernels" if self.own else self.library, source=source)


@dataclass(frozen=True)
class Contender:
    """A kernel with several weights of one shape that take turns."""

    linear: LinearKernel
    weights: tuple[Weights, ...]


def choose(device: Device, precision: str, shapes: tuple[Shape, ...], rows: int) -> Choice:
    """Whose kernels multiply `rows` rows by weights of these shapes; the library's on a CPU and without Triton."""
    library = "ATen" if precision == INT4 else "bitsandbytes"
    if device.kind == "cpu":
        return Choice(library=library, tried=[NO_TRITON_HERE])
    try:
        operator.register()
    except ImportError as missing:
        return Choice(library=library, tried=[f"no kernel of ours: {missing}"])
    try:
        choice = compare(device, precision, shapes, rows, lambda contender, inputs: _seconds(device, contender, inputs))
    except RuntimeError as error:  # of a capture, or for want of memory, which the model itself may not need
        choice = Choice(tried=[refusals.said(error)])
    choice.library = library
    device.release()
    return choice


def compare(
    device: Device,
    precision: str,
    shapes: tuple[Shape, ...],
    rows: int,
    seconds: "Callable[[Contender, torch.Tensor], float]",
) -> Choice:
    """Our kernels beside the library's, each timed by `seconds`; ours are chosen where each shape is right and all of
    them together are faster."""
    import torch

    choice, ours_s, library_s = Choice(), 0.0, 0.0
    generator = torch.Generator("cpu").manual_seed(SEED)
    with torch.inference_mode():
        for outer, inner in shapes:
            inputs = torch.randn(rows, inner, generator=generator).to(device.name, torch.bfloat16)
            ours, theirs = contenders(device, precision, (outer, inner))
            obstacle = _obstacle(ours, inputs, precision)
            if obstacle:
                choice.tried.append(f"{outer}x{inner}: {obstacle}")
                return choice
            turns = [(seconds(ours, inputs), seconds(theirs, inputs)) for _ in range(TURNS)]
            medians = tuple(statistics.median(times) for times in zip(*turns, strict=True))
            ours_s, library_s = ours_s + medians[0], library_s + medians[1]
            choice.tried.append(f"{outer}x{inner}: {1e6 * medians[0]:.4g} us, {1e6 * medians[1]:.4g} by the library")
    choice.own = ours_s <= library_s * (1 - LEAST_GAIN)
    choice.tried.append(f"together {ours_s / library_s:.3f} of its time")
    return choice


def contenders(device: Device, precision: str, shape: Shape) -> tuple[Contender, Contender]:
    """Ours and the library's, with the same random weights."""
    import torch

    generator = torch.Generator(device.name).manual_seed(SEED)
    outer, inner = shape
    copies = min(MOST_COPIES, 1 + BEYOND_CACHES // (outer * inner // 2)) if device.kind == "cuda" else 1
    made: list[tuple[Weights, Weights]] = []
    for _ in range(copies):
        matrix = torch.randn(shape, generator=generator, device=device.name).bfloat16()
        if precision == INT4:
            quantised = int4.quantise(matrix)
            made.append((FourBit.int4(quantised.levels, quantised.scale, quantised.zero), quantised.packed))
        else:
            layer = nf4.linear4bit(matrix)
            made.append((FourBit.nf4(layer), (layer,)))
    ours, theirs = zip(*made, strict=True)
    library = int4.linear if precision == INT4 else linear_kernels.bitsandbytes_linear
    return Contender(linear_kernels.four_bit_linear, ours), Contender(library, theirs)


def _obstacle(ours: Contender, inputs: "torch.Tensor", precision: str) -> str:
    """Why our kernels cannot be used, by their error against fp64; empty where they can."""
    import torch

    weights = FourBit(*ours.weights[0])
    rows = torch.linspace(0, len(inputs) - 1, min(CHECKED_ROWS, len(inputs)), device=inputs.device).long()
    try:
        outputs = ours.linear(inputs, weights)
        error = numerics.relative_error(outputs[rows], inputs[rows].double() @ weights.dequantised().double().T)
    except refusals.kinds() as refusal:
        return refusals.said(refusal)
    limit = numerics.matmul_tolerance(precision).max or 0.0
    return "" if error <= limit else f"refused, its error is {error:.2g}, at most {limit:g} is allowed"


def _seconds(device: Device, contender: Contender, inputs: "torch.Tensor") -> float:
    """Seconds of one product, of several that a CUDA graph holds."""
    import torch

    calls = CALLS if len(inputs) <= operator.MOST_OF_FEW else CALLS_OF_MANY

    def work() -> None:
        for call in range(calls):
            contender.linear(inputs, contender.weights[call % len(contender.weights)])

    with torch.cuda.device(device.index):
        work()  # libraries choose their kernels and allocate their workspace before a graph is captured
        device.wait()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        device.wait()
        begun = time.perf_counter()
        graph.replay()
        device.wait()
    return (time.perf_counter() - begun) / calls
