"""The work of a burn-in: products, copies and trainings, every answer of which is compared where it was computed.

How many values differ is added up on the device and read once a cycle, so that looking does not make it wait.
"""

import time
from typing import TYPE_CHECKING, Protocol

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware import bandwidth
from dgxcert.workloads.hardware.matmul import Matmul

if TYPE_CHECKING:
    import torch

SEED = 41
EDGE = {"cuda": 4096, "cpu": 256}
RATE = 0.1
"""Large enough that a step moves every weight by much more than its rounding, which would hide a flipped bit."""


class Work(Protocol):
    """One of the three kinds of work."""

    amount: float
    """What one round does, in the unit of its rate."""

    def run(self) -> float:
        """One round; the seconds that it took."""

    def wrong(self) -> int:
        """How many values were wrong since this was last asked."""


def rate(work: Work, seconds: float) -> float:
    """Work done per second when it is done for so long, once at the least."""
    spent, rounds, deadline = 0.0, 0, time.monotonic() + seconds
    while rounds == 0 or time.monotonic() < deadline:
        spent += work.run()
        rounds += 1
    return rounds * work.amount / spent


class _Compared:
    """Counts on a device how many values are not what they should be."""

    def __init__(self, device: Device) -> None:
        import torch

        self._device = device
        self._wrong = torch.zeros((), dtype=torch.int64, device=device.name)

    def _compare(self, found: "torch.Tensor", wanted: "torch.Tensor") -> None:
        self._wrong += numerics.differing(found, wanted)

    def wrong(self) -> int:
        """How many values were wrong since this was last asked."""
        found = int(self._wrong)
        self._wrong.zero_()
        return found


class Products(_Compared):
    """Products of the same two matrices. Each is compared with the first one, which is held against fp64 on the CPU.

    Raises Wrong where that one is wrong.
    """

    def __init__(self, device: Device, profile: Profile, precision: str) -> None:
        super().__init__(device)
        sizes = profile.workloads.matmul
        self._matmul = Matmul(device, precision, sizes.size, sizes.products, profile.peak(f"matmul.{precision}"))
        self.amount = self._matmul.work.amount
        allocation.require(
            device, sizes.size**2 * numerics.dtype(precision).itemsize, "a product to compare others with"
        )
        self._first: torch.Tensor | None = None
        self.run()
        self._require_right()

    def run(self) -> float:
        """One round; the seconds that it took, comparing included."""
        began = time.monotonic()
        self._matmul.run(self._see)
        return time.monotonic() - began

    def fingerprint(self) -> str:
        """SHA-256 of the last product."""
        return self._matmul.fingerprint()

    def _see(self, product: "torch.Tensor") -> None:
        if self._first is None:
            self._first = product.clone()
        self._compare(product, self._first)

    def _require_right(self) -> None:
        """The last product of the first round stands for its first one: were they not the same, `wrong` counts it."""
        error, tolerance = self._matmul.error(), numerics.product_tolerance(self._matmul.precision)
        if tolerance.max is None or error > tolerance.max:
            raise Wrong(f"the first product is off by {error:.3g} relative; right ones by {tolerance.max} at the most")


class Copies(_Compared):
    """Copies of the same buffer into one that is overwritten before, so that a copy that does nothing shows."""

    def __init__(self, device: Device, profile: Profile) -> None:
        super().__init__(device)
        self._copy = bandwidth.prepare_copy(device, profile)
        self.amount = self._copy.work.amount

    def run(self) -> float:
        """One copy; the seconds that it took, without what comes before and after."""
        self._copy.poison()
        self._device.wait()
        began = time.monotonic()
        self._copy.run()
        took_s = time.monotonic() - began
        self._wrong += self._copy.differing()
        return took_s


class Training(_Compared):
    """`steps` steps of gradient descent on one square layer, from the same numbers each time.

    Only products and sums of fixed order, on one stream, so that it comes out the same bit for bit: NVIDIA guarantees
    that of cuBLAS on one stream (cuBLAS documentation, "Results reproducibility"). All weights are compared with those
    of the first training.
    """

    def __init__(self, device: Device, precision: str, steps: int) -> None:
        import torch

        super().__init__(device)
        edge, kind = EDGE[device.kind], numerics.dtype(precision)
        allocation.require(device, 6 * edge**2 * kind.itemsize, "a training step")
        self.amount = float(steps)
        self._steps = steps
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._inputs, self._wanted, self._start = (
            torch.randn(edge, edge, generator=generator, device=device.name, dtype=kind) for _ in range(3)
        )
        self._weights = self._start
        self._first: torch.Tensor | None = None

    def run(self) -> float:
        """Train anew from the start; the seconds until the device is done."""
        import torch

        began = time.monotonic()
        with torch.inference_mode(), numerics.exact_products():
            weights = self._start.clone()
            for _ in range(self._steps):
                error = self._inputs @ weights - self._wanted
                weights -= RATE / error.shape[0] * (self._inputs.T @ error)
            self._first = weights if self._first is None else self._first
            self._compare(weights, self._first)
            self._weights = weights
            self._device.wait()
        return time.monotonic() - began

    def fingerprint(self) -> str:
        """SHA-256 of the trained weights."""
        return numerics.fingerprint(self._weights)
