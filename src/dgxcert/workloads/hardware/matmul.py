"""Matmul: sustained rate of square matrix products, which bounds prefill and training."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Work
from dgxcert.judgement.units import OF_CEILING
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Matmul as Sizes
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.models import linear_kernels
from dgxcert.workloads.round_timer import AddRound, repeat
from dgxcert.workloads.stopwatch import fastest_s

if TYPE_CHECKING:
    import torch

SEED = 7
PROBES = 8
"""Random vectors that a product is checked with."""
OLDEST = {"tf32": (8, 0), "bf16": (8, 0), "fp8": (8, 9)}
"""The first compute capability that multiplies in a precision (CUDA C++ programming guide, tensor cores)."""
SWEPT = 10
"""A size is tried with this part of a round's work."""


class Matmul:
    """`products` products of two n x n matrices per round, seeded N(0, 1) data."""

    def __init__(self, device: Device, precision: str, size: int, products: int, peak: Bound) -> None:
        import torch

        self.device, self.precision, self.size = device, precision, size
        self._products = products
        kind = numerics.dtype(precision)
        self._dense = linear_kernels.dense(device, kind)
        widest = max(kind.itemsize, 2) if precision != "fp8" else 4  # made in 32 bits, then rounded
        held = 4 if device.kind == "cpu" else 3  # there a product is made before the last one is let go
        allocation.require(device, held * size**2 * widest, f"a {precision} product of size {size}")
        generator = torch.Generator(device.name).manual_seed(SEED)
        made = torch.float32 if precision == "fp8" else kind
        self._left, self._right = (
            torch.randn(size, size, generator=generator, device=device.name, dtype=made).to(kind) for _ in range(2)
        )
        if precision == "fp8":  # the hardware reads the right one column by column
            self._right = self._right.t().contiguous().t()
            self._one = torch.ones((), device=device.name)
        self._product = torch.empty(
            size, size, device=device.name, dtype=torch.bfloat16 if precision == "fp8" else kind
        )
        self.work = Work(device, 2.0 * size**3 * products / 1e12, peak)
        self.swept: dict[int, float] = {}
        """TFLOP/s of each size that was tried before this one was chosen."""

    def run_rounds(self, add_round: AddRound) -> None:
        """`matmuls` matrix multiplications a round."""
        repeat(self.run, add_round)

    def run(self, see: "Callable[[torch.Tensor], None] | None" = None) -> None:
        """One round; returns when the device is done. `see` is handed every product before the next overwrites it."""
        import torch

        with numerics.exact_products(tf32=self.precision == "tf32"), torch.inference_mode():
            for _ in range(self._products):
                self._multiply()
                if see is not None:
                    see(self._product)
            self.device.wait()

    def _multiply(self) -> None:
        import torch

        if self.device.kind == "cpu" and self.precision != "fp8":  # as models do it there: this is their ceiling
            self._product = self._dense(self._left, (self._right.t(),))
            return
        if self.precision != "fp8":
            torch.mm(self._left, self._right, out=self._product)
            return
        torch._scaled_mm(
            *(self._left, self._right, self._one, self._one),
            out_dtype=torch.bfloat16,
            use_fast_accum=True,  # as inference in 8 bits does
            out=self._product,
        )

    def fingerprint(self) -> str:
        """SHA-256 of the last product: the same inputs give the same bits, as long as the device is well."""
        return numerics.fingerprint(self._product)

    def error(self) -> float:
        """Relative error of the last product against fp64 on the CPU; raises Wrong where it is not finite.

        By Freivalds' check: with random vectors x, C x is compared with A (B x), which costs n² and sees every entry.
        """
        import torch

        left, right, product = (each.float().cpu().double() for each in (self._left, self._right, self._product))
        generator = torch.Generator("cpu").manual_seed(SEED)
        vectors = torch.randn(left.shape[0], PROBES, generator=generator, dtype=torch.float64)
        return numerics.relative_error(product @ vectors, left @ (right @ vectors))

    def verify(self, evidence: Recorder) -> None:
        """Hold the last timed product against fp64 on the CPU; raises Wrong. Keeps what the other sizes reached."""
        for size, rate in self.swept.items():
            evidence.record(f"size {size}", rate, unit="TFLOP/s", source="the best of a few products")
        if len(self.swept) > 1:
            *_, before, last = (self.swept[size] for size in sorted(self.swept))
            source = "the largest size over the one before it; well above 1, and a larger one would be faster still"
            evidence.record("plateau", last / before, unit=OF_CEILING, source=source)
        limit = numerics.product_tolerance(self.precision)
        source = f"the last timed product times {PROBES} random vectors, against fp64 on the CPU"
        found = evidence.record(f"{self.precision} product error", self.error(), unit="relative", source=source)
        evidence.require(found.within(limit))


def require_hardware(device: Device, precision: str) -> None:
    """Raise Inconclusive where a device has no such products: only the profile can say that they do not apply."""
    if precision not in OLDEST:
        return
    excuse = "Should this be so on every such machine, name the requirement under `not_applicable:` in the profile."
    if device.kind != "cuda":
        if precision != "bf16":
            raise Inconclusive(f"a CPU has no {precision} products", excuse)
        return
    import torch

    found = torch.cuda.get_device_capability(device.index)
    if found < OLDEST[precision]:
        wanted, has = (".".join(map(str, each)) for each in (OLDEST[precision], found))
        raise Inconclusive(
            f"{device.product} has no {precision} products: compute capability {wanted} wanted, {has} found", excuse
        )


def prepare(device: Device, profile: Profile, precision: str) -> Matmul:
    """Products of the size that is fastest here. A rate below this machine's own 32-bit rate contradicts itself."""
    sizes, peak = profile.workloads.matmul, profile.peak(f"matmul.{precision}")
    swept = _sweep(device, precision, sizes, peak)
    size = max(swept, key=lambda each: swept[each])
    workload = Matmul(device, precision, size, _products(sizes, size, 1), peak)
    workload.swept = swept
    if precision != "fp32":
        workload.work = replace(workload.work, floor=measured(device, profile, "fp32"))
    return workload


def measured(device: Device, profile: Profile, precision: str) -> Bound:
    """This machine's own rate in TFLOP/s, the best of the sizes that the profile names; measured once per process."""
    sizes = profile.workloads.matmul
    swept = _sweep(device, precision, sizes, profile.peak(f"matmul.{precision}"))
    size = max(swept, key=lambda each: swept[each])
    return Bound(value=swept[size], unit="TFLOP/s", source=f"{precision} products of size {size}, measured in this run")


@cache
def _sweep(device: Device, precision: str, sizes: Sizes, peak: Bound) -> dict[int, float]:
    """TFLOP/s by size, each the best of a few short rounds; raises what `require_hardware` raises."""
    require_hardware(device, precision)
    found = {}
    for size in sizes.sweep:
        workload = Matmul(device, precision, size, _products(sizes, size, SWEPT), peak)
        found[size] = workload.work.amount / fastest_s(workload.run)
    return found


def _products(sizes: Sizes, size: int, part: int) -> int:
    """How many products of a size are this part of the work that a round of the profile's size holds; one at least."""
    return max(1, round(sizes.products / part * (sizes.size / size) ** 3))
