"""Matmul: sustained rate of square matrix products, which bounds prefill and training."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from dgxcert.device import Device
from dgxcert.evidence import Recorder
from dgxcert.limit import Bound
from dgxcert.profile import Profile
from dgxcert.rounds import Work
from dgxcert.workloads import numerics, room
from dgxcert.workloads.stopwatch import fastest_s

if TYPE_CHECKING:
    import torch

SEED = 7
PROBES = 8
"""Random vectors that a product is checked with."""


class Matmul:
    """`products` products of two n x n matrices per round, seeded N(0, 1) data."""

    def __init__(self, device: Device, precision: str, size: int, products: int, peak: Bound) -> None:
        import torch

        self.device, self.precision = device, precision
        self._products = products
        kind = numerics.dtype(precision)
        room.require(device, 3 * size**2 * kind.itemsize, f"a {precision} product of size {size}")
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._left, self._right = (
            torch.randn(size, size, generator=generator, device=device.name, dtype=kind) for _ in range(2)
        )
        self._product = torch.empty_like(self._left)
        self.work = Work(device, 2.0 * size**3 * products / 1e12, peak)

    def run(self, see: "Callable[[torch.Tensor], None] | None" = None) -> None:
        """One round; returns when the device is done. `see` is handed every product before the next overwrites it."""
        import torch

        with numerics.exact_products(), torch.inference_mode():
            for _ in range(self._products):
                torch.mm(self._left, self._right, out=self._product)
                if see is not None:
                    see(self._product)
            self.device.wait()

    def fingerprint(self) -> str:
        """SHA-256 of the last product: the same inputs give the same bits, as long as the device is well."""
        return numerics.fingerprint(self._product)

    def error(self) -> float:
        """Relative error of the last product against fp64 on the CPU; raises Wrong where it is not finite.

        By Freivalds' check: with random vectors x, C x is compared with A (B x), which costs n² and sees every entry.
        """
        import torch

        left, right, product = (each.cpu().double() for each in (self._left, self._right, self._product))
        generator = torch.Generator("cpu").manual_seed(SEED)
        vectors = torch.randn(left.shape[0], PROBES, generator=generator, dtype=torch.float64)
        return numerics.relative_error(product @ vectors, left @ (right @ vectors))

    def verify(self, evidence: Recorder) -> None:
        """Hold the last timed product against fp64 on the CPU; raises Wrong."""
        limit = numerics.product_tolerance(self.precision)
        source = f"the last timed product times {PROBES} random vectors, against fp64 on the CPU"
        found = evidence.record(f"{self.precision} product error", self.error(), unit="relative", source=source)
        evidence.require(found.within(limit))


def prepare(device: Device, profile: Profile, precision: str) -> Matmul:
    """The products that a profile asks for. A 16-bit rate below this machine's own 32-bit rate contradicts itself."""
    sizes = profile.workloads.matmul
    workload = Matmul(device, precision, sizes.size, sizes.products, profile.peak(f"matmul.{precision}"))
    if precision != "fp32":
        workload.work = replace(workload.work, floor=measured(device, profile, "fp32"))
    return workload


def measured(device: Device, profile: Profile, precision: str) -> Bound:
    """This machine's own rate in TFLOP/s, the best of a few rounds; measured once per process."""
    sizes = profile.workloads.matmul
    return _measure(device, precision, sizes.size, sizes.products, profile.peak(f"matmul.{precision}"))


@cache
def _measure(device: Device, precision: str, size: int, products: int, peak: Bound) -> Bound:
    workload = Matmul(device, precision, size, products, peak)
    rate = workload.work.amount / fastest_s(workload.run)
    return Bound(value=rate, unit="TFLOP/s", source=f"{precision} products of size {size}, measured in this run")
