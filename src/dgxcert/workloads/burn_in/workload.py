"""The work of a burn-in: matmuls, copies and training steps, each result compared on the device that computed it."""

import time
from typing import TYPE_CHECKING, Protocol

from dgxcert.judgement.limit import Limit
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
"""Rows and columns of the square layer that is trained."""
SAMPLED = 32
"""Columns of the first gradient that are compared with fp64."""
LEARNING_RATE = 0.1
"""Large enough that a step moves every weight by much more than its rounding, which would hide a flipped bit."""


class Work(Protocol):
    """One of the three kinds of work."""

    amount: float
    """How much work a round holds, in the unit of its rate."""

    def run(self) -> float:
        """One round; its seconds."""

    def wrong(self) -> int:
        """How many values were wrong since the last call."""


def rate(work: Work, seconds: float) -> float:
    """Work per second, over one round at least, until `seconds` have passed."""
    busy_s, rounds, deadline = 0.0, 0, time.monotonic() + seconds
    while rounds == 0 or time.monotonic() < deadline:
        busy_s += work.run()
        rounds += 1
    return rounds * work.amount / busy_s


class _Comparison:
    """Counts wrong values."""

    def __init__(self, device: Device) -> None:
        import torch

        self._device = device
        # Counted on the device and read once a cycle: reading a number makes the host wait for the device.
        self._wrong = torch.zeros((), dtype=torch.int64, device=device.name)

    def _compare(self, actual: "torch.Tensor", expected: "torch.Tensor") -> None:
        self._wrong += numerics.differing(actual, expected)

    def wrong(self) -> int:
        """How many values were wrong since the last call."""
        wrong = int(self._wrong)
        self._wrong.zero_()
        return wrong


class Matmuls(_Comparison):
    """Matmuls of the same two matrices, each compared with the first one, and that one with fp64 on the CPU.

    Raises Wrong where the first one is wrong.
    """

    def __init__(self, device: Device, profile: Profile, precision: str) -> None:
        super().__init__(device)
        sizes = profile.workloads.matmul  # the size of the profile, without a sweep: the results must be comparable
        self._matmul = Matmul(device, precision, sizes.size, sizes.products, profile.peak(f"matmul.{precision}"))
        self.amount = self._matmul.work.amount
        result_bytes = sizes.size**2 * numerics.dtype(precision).itemsize
        allocation.require(device, result_bytes, "the first matmul's result, which others are compared with")
        self._first: torch.Tensor | None = None
        self.run()
        self._require_correct()

    def run(self) -> float:
        """One round; its seconds, comparisons included."""
        start = time.monotonic()
        self._matmul.run(self._compare_with_first)
        return time.monotonic() - start

    def fingerprint(self) -> str:
        """SHA-256 of the last matmul's result."""
        return self._matmul.fingerprint()

    def _compare_with_first(self, result: "torch.Tensor") -> None:
        if self._first is None:
            self._first = result.clone()
        self._compare(result, self._first)

    def _require_correct(self) -> None:
        # `error` is that of the round's last result, which stands for the first: where they differ, `wrong` counts it.
        error, precision = self._matmul.error(), self._matmul.precision
        for limit, value, what in (
            (numerics.matmul_tolerance(precision), error.overall, "the first matmul"),
            (numerics.part_tolerance(precision), error.worst, f"a part of the first matmul ({error.where})"),
        ):
            if limit.max is None or value > limit.max:
                raise Wrong(f"the relative error of {what} is {value:.3g}, at most {limit.max:g} is allowed")


class Copies(_Comparison):
    """Copies of the same buffer."""

    def __init__(self, device: Device, profile: Profile) -> None:
        super().__init__(device)
        self._copy = bandwidth.prepare_copy(device, profile)
        self.amount = self._copy.work.amount

    def run(self) -> float:
        """One copy; its seconds, without overwriting the target before and comparing it afterwards."""
        self._copy.poison()  # or a copy that does nothing would leave the right words of the last one
        self._device.wait()
        start = time.monotonic()
        self._copy.run()
        seconds = time.monotonic() - start
        self._wrong += self._copy.differing()
        return seconds


class Training(_Comparison):
    """`steps` steps of gradient descent on one square layer, from the same numbers in every round.

    All weights are compared with those of the first round, bit for bit: NVIDIA guarantees that cuBLAS on one stream
    gives the same bits (cuBLAS documentation, "Results reproducibility"), and everything else is elementwise. The first
    gradient is compared with fp64 on the CPU, in a sample of columns; raises Wrong where it is wrong.
    """

    def __init__(self, device: Device, precision: str, steps: int) -> None:
        import torch

        super().__init__(device)
        edge, dtype = EDGE[device.kind], numerics.dtype(precision)
        allocation.require(device, 6 * edge**2 * dtype.itemsize, "a training step")
        self.amount = float(steps)
        self._steps = steps
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._inputs, self._targets, self._initial = (
            torch.randn(edge, edge, generator=generator, device=device.name, dtype=dtype) for _ in range(3)
        )
        self._weights = self._initial
        self._first: torch.Tensor | None = None
        self._require_correct(numerics.matmul_tolerance(precision))

    def _gradient(self, weights: "torch.Tensor") -> "torch.Tensor":
        """The gradient of half the squared error by the weights, (edge, edge)."""
        return self._inputs.T @ (self._inputs @ weights - self._targets)

    def _require_correct(self, tolerance: Limit) -> None:
        import torch

        with torch.inference_mode(), numerics.exact_matmul():
            gradient = self._gradient(self._initial)
        columns = slice(None, None, len(gradient) // SAMPLED)
        inputs, targets, weights = (values.cpu().double() for values in (self._inputs, self._targets, self._initial))
        exact = inputs.T @ (inputs @ weights[:, columns] - targets[:, columns])
        error = numerics.worst_part(gradient[:, columns].T, exact.T, len(exact))
        allowed = 2 * (tolerance.max or 0.0)  # two products, one after the other
        if error > allowed:
            raise Wrong(f"the relative error of the first gradient is {error:.3g}, at most {allowed:g} is allowed")

    def run(self) -> float:
        """Train from the initial weights; the seconds until the device is done."""
        import torch

        start = time.monotonic()
        with torch.inference_mode(), numerics.exact_matmul():
            weights = self._initial.clone()
            for _ in range(self._steps):
                weights -= LEARNING_RATE / len(weights) * self._gradient(weights)
            self._first = weights if self._first is None else self._first
            self._compare(weights, self._first)
            self._weights = weights
            self._device.wait()
        return time.monotonic() - start

    def fingerprint(self) -> str:
        """SHA-256 of the trained weights."""
        return numerics.fingerprint(self._weights)
