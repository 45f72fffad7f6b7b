"""The products of one layer of the decode model alone, by precision and number of rows: `scripts/bench_kernels.py`.

Few rows are limited by reading the weights, and are given in GB/s and as a share of what a copy moves on this machine;
many rows by arithmetic, in TFLOP/s. Weights take turns so that no cache holds them. Prints a Markdown table.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import performance_page

from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import numerics
from dgxcert.workloads.models import architectures, int4, linear_kernels, nf4
from dgxcert.workloads.models.four_bit.weights import FourBit
from dgxcert.workloads.models.linear_kernels import LinearKernel, Weights

if TYPE_CHECKING:
    import torch

FEW, MANY = (1, 4, 16), (17, 512, 4096)
BEYOND_CACHES = {"cuda": 400 * 10**6, "cpu": 0}
"""Bytes of weights that take turns; the last cache of an H200 holds 50 MB."""
TIMES, CALLS = 5, 20
MOST_OF_A_CPU = 512
"""More rows than this take seconds on a CPU."""
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Kernel:
    """A kernel with several weights of one shape."""

    name: str
    linear: LinearKernel
    weights: tuple[Weights, ...]
    weight_bytes: int
    """Of one of them, as they are stored."""
    dtype: "torch.dtype"


def kernels(device: Device, shape: tuple[int, int]) -> Iterator[Kernel]:
    """Dense, int4 and NF4 weights (outer, inner), random."""
    import torch

    outer, inner = shape
    dense = numerics.dtype("bf16" if device.kind == "cuda" else "fp32")
    given = torch.randn(outer, inner, generator=torch.Generator("cpu").manual_seed(1)).to(device.name)
    quantised = int4.quantise(given.bfloat16())
    sample = nf4.sample(given.to(numerics.dtype(numerics.compute_precision("nf4", device.kind))))
    sides = outer * inner
    groups, blocks = sides // int4.GROUP, sides // nf4.BLOCK
    found = [
        ("dense", linear_kernels.dense(device, dense), (given.to(dense),), sides * dense.itemsize, dense),
        ("int4 (ATen)", int4.linear, quantised.packed, sides // 2 + 4 * groups, torch.bfloat16),
        ("nf4 (bitsandbytes)", linear_kernels.bitsandbytes_linear, (sample.layer,), sides // 2 + 4 * blocks, dense),
    ]
    if device.kind == "cuda":
        levels = FourBit.int4(quantised.levels, quantised.scale, quantised.zero)
        for name, ours in {"int4 (ours)": levels, "nf4 (ours)": FourBit.nf4(sample.layer)}.items():
            size = ours.packed.nbytes + ours.scales.nbytes
            found.append((name, linear_kernels.four_bit_linear, ours, size, torch.bfloat16))
    for name, linear, weights, size, dtype in found:
        turns = max(1, BEYOND_CACHES[device.kind] // size)
        copies = tuple(weights if not turn else tuple(map(_copied, weights)) for turn in range(turns))
        yield Kernel(name, linear, copies, size, dtype)


def _copied(weight: object) -> object:
    import copy

    import torch

    return weight.clone() if isinstance(weight, torch.Tensor) else copy.deepcopy(weight)


def seconds(device: Device, kernel: Kernel, rows: int, inner: int) -> float:
    """Seconds of one product, the median of several rounds of calls."""
    import torch

    inputs = torch.randn(rows, inner, device=device.name).to(kernel.dtype)

    def work() -> None:
        for call in range(CALLS if device.kind == "cuda" else 2):
            kernel.linear(inputs, kernel.weights[call % len(kernel.weights)])

    return _timed(device, work) / (CALLS if device.kind == "cuda" else 2)


def _timed(device: Device, work: Callable[[], object]) -> float:
    found = []
    for _ in range(TIMES + 1):
        device.wait()
        began = time.perf_counter()
        work()
        device.wait()
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])  # the first one compiles, or loads its kernel


def copied_gbs(device: Device) -> float:
    """What a copy moves, read and written, in GB/s."""
    import torch

    source = torch.ones(2**28 if device.kind == "cuda" else 2**25, device=device.name)
    target = torch.empty_like(source)
    return float(2 * source.nbytes / _timed(device, lambda: target.copy_(source)) / 1e9)


def rows(profile: Profile, device: Device) -> Iterator[Row]:
    """Rows of the table, for both products of a layer's MLP."""
    import torch

    model = architectures.find(profile.workloads.decode.model)
    most = copied_gbs(device)
    yield "copy, read and written", f"{most:.4g} GB/s", "for comparison"
    for outer, inner in ((model.intermediate, model.hidden), (model.hidden, model.intermediate)):
        for kernel in kernels(device, (outer, inner)):
            for count in (*FEW, *MANY):
                if device.kind == "cpu" and count > MOST_OF_A_CPU:
                    continue
                with torch.inference_mode():
                    took_s = seconds(device, kernel, count, inner)
                gbs, tflops = kernel.weight_bytes / took_s / 1e9, 2 * count * outer * inner / took_s / 1e12
                told = f"{gbs:.4g} GB/s ({gbs / most:.2f} of a copy)" if count in FEW else f"{tflops:.4g} TFLOP/s"
                yield f"{kernel.name}, {inner} to {outer}, rows: {count}", told, "for comparison"
            device.release()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    options = parser.parse_args()
    profile = profiles.load(options.profile)
    device = Device("cuda" if profile.uses_gpu else "cpu", 0, "this machine", margin_gib=profile.memory.margin.value)
    performance_page.show("", list(rows(profile, device)), f"profile {profile.name}", keep=False)


if __name__ == "__main__":
    main()
