"""Matmul: sustained rate of square matrix multiplication, which bounds prefill and training."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.judgement.units import OF_CEILING
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Matmul as Sizes
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware import product_error
from dgxcert.workloads.hardware.product_error import ProductError
from dgxcert.workloads.models import linear_kernels
from dgxcert.workloads.round_timer import AddRound, repeat
from dgxcert.workloads.stopwatch import fastest_s

if TYPE_CHECKING:
    import torch

SEED = 7
MIN_CAPABILITY = {"tf32": (8, 0), "bf16": (8, 0), "fp8": (8, 9)}
"""First compute capability with tensor cores of a precision (CUDA C++ programming guide)."""
SWEEP_PART = 10
"""Each size of the sweep is tried with this part (a tenth) of a round's work."""


class Matmul:
    """`matmuls` multiplications of (size, size) matrices per round, seeded N(0, 1) data; 2 size³ operations each."""

    def __init__(self, device: Device, precision: str, size: int, matmuls: int, peak: Bound) -> None:
        import torch

        self.device, self.precision, self.size = device, precision, size
        self._matmuls = matmuls
        dtype = numerics.dtype(precision)
        self._linear = linear_kernels.dense(device, dtype)
        item_bytes = max(dtype.itemsize, 2) if precision != "fp8" else 4  # drawn in fp32, then rounded
        matrices = 5 if device.kind == "cpu" else 4  # a CPU allocates a result before the last one is freed
        allocation.require(device, matrices * size**2 * item_bytes, f"a {precision} matmul of size {size}")
        generator = torch.Generator(device.name).manual_seed(SEED)
        drawn = torch.float32 if precision == "fp8" else dtype
        self._left, self._right = (
            torch.randn(size, size, generator=generator, device=device.name, dtype=drawn).to(dtype) for _ in range(2)
        )
        if precision == "fp8":  # cuBLASLt multiplies fp8 only with a column-major right matrix
            self._right = self._right.t().contiguous().t()
            self._scale = torch.ones((), device=device.name)
        result_dtype = torch.bfloat16 if precision == "fp8" else dtype
        self._result = torch.empty(size, size, device=device.name, dtype=result_dtype)
        self._first: torch.Tensor | None = None
        self._differing = torch.zeros((), dtype=torch.int64, device=device.name)
        self.compared = 0
        """Rounds whose last result was compared with the first one."""
        self.work = Work(device, 2.0 * size**3 * matmuls / 1e12, peak)
        self.swept: dict[int, float] = {}
        """TFLOP/s by size, of the sweep that chose this size."""

    def run_rounds(self, add_round: AddRound) -> None:
        """`matmuls` matrix multiplications a round, the last of which is compared with the first round's, untimed."""

        def compared(seconds: float) -> bool:
            wanted = add_round(seconds)
            self.compare_with_first()
            return wanted

        repeat(self.run, compared)

    def run(self, on_result: "Callable[[torch.Tensor], None] | None" = None) -> None:
        """One round; returns when the device is done. `on_result` gets each result before the next overwrites it."""
        import torch

        with numerics.exact_matmul(tf32=self.precision == "tf32"), torch.inference_mode():
            for _ in range(self._matmuls):
                self._multiply()
                if on_result is not None:
                    on_result(self._result)
            self.device.wait()

    def _multiply(self) -> None:
        import torch

        if self.device.kind == "cpu" and self.precision != "fp8":  # the kernel that models use, whose ceiling this is
            self._result = self._linear(self._left, (self._right.t(),))
            return
        if self.precision != "fp8":
            torch.mm(self._left, self._right, out=self._result)
            return
        torch._scaled_mm(
            *(self._left, self._right, self._scale, self._scale),
            out_dtype=torch.bfloat16,
            use_fast_accum=True,  # as fp8 inference does
            out=self._result,
        )

    def fingerprint(self) -> str:
        """SHA-256 of the last result: the same inputs give the same bits on a healthy device."""
        return numerics.fingerprint(self._result)

    def compare_with_first(self) -> None:
        """Compare the last result with the first one that this was called for, bit for bit.

        The same inputs give the same bits: cuBLAS guarantees it for one stream on one GPU (cuBLAS documentation,
        "Results reproducibility"), and its kernels with atomic sums are off unless `cublasSetAtomicsMode` asks for
        them. A kernel that does not repeat itself would be found here, by many values that differ in their last bits;
        a fault changes a few values by any amount.
        """
        if self._first is None:
            self._first = self._result.clone()
        else:
            self._differing += numerics.differing(self._result, self._first)
            self.compared += 1
        self.device.wait()  # or the next round would pay for the comparison

    @property
    def differing(self) -> int:
        """Values that differed in any bit, over all comparisons."""
        return int(self._differing)

    def error(self) -> ProductError:
        """Error of the first result, or of the last one where none was kept; raises Wrong where it is not finite."""
        return product_error.measure(self._left, self._right, self._result if self._first is None else self._first)

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare the results of all rounds with the first one, and that one with fp64 on the CPU; raises Wrong.

        Records the rates of the sweep.
        """
        for size, rate in self.swept.items():
            evidence.record(f"size {size}", rate, unit="TFLOP/s", source="the fastest of a few short rounds")
        if len(self.swept) > 1:
            *_, second_largest, largest = (self.swept[size] for size in sorted(self.swept))
            source = (
                "the largest size over the second largest; well above 1 means that a larger one would be faster still"
            )
            evidence.record("plateau", largest / second_largest, unit=OF_CEILING, source=source)
        error = self.error()
        source = (
            f"the first result times {product_error.PROBES} random vectors for each {product_error.WIDTH} columns and "
            "rows, against fp64 on the CPU"
        )
        overall = evidence.record(f"{self.precision} product error", error.overall, unit="relative", source=source)
        evidence.require(overall.within(numerics.matmul_tolerance(self.precision)))
        worst = evidence.record(
            f"{self.precision} product error of a part", error.worst, unit="relative", source=f"{source}: {error.where}"
        )
        evidence.require(worst.within(numerics.part_tolerance(self.precision)))
        source = f"the last results of {self.compared} rounds, bit for bit"
        differing = evidence.record("values that differ from the first result", self.differing, source=source)
        evidence.require(differing == 0)


def require_hardware(device: Device, precision: str) -> None:
    """Raise Inconclusive where a device lacks a precision; only a profile may say that it does not apply."""
    if precision not in MIN_CAPABILITY:
        return
    remedy = "Name the requirement under `not_applicable:` in the profile if no such machine has it."
    if device.kind != "cuda":
        if precision != "bf16":
            raise Inconclusive(f"a CPU has no {precision} matmul", remedy)
        return
    import torch

    capability = torch.cuda.get_device_capability(device.index)
    if capability < MIN_CAPABILITY[precision]:
        required, actual = (".".join(map(str, version)) for version in (MIN_CAPABILITY[precision], capability))
        raise Inconclusive(
            f"{device.product} has no {precision} matmul: compute capability {actual}, at least {required} is required",
            remedy,
        )


@LEDGER.on(Spent.BUILDING)
def prepare(device: Device, profile: Profile, precision: str) -> Matmul:
    """Matmul of the size that is fastest on this machine, with this machine's own fp32 rate as floor."""
    sizes, peak = profile.workloads.matmul, profile.peak(f"matmul.{precision}")
    swept = _sweep(device, precision, sizes, peak)
    size = max(swept, key=lambda size: swept[size])
    workload = Matmul(device, precision, size, _matmuls(sizes, size, 1), peak)
    workload.swept = swept
    if precision != "fp32":
        workload.work = replace(workload.work, floor=measured(device, profile, "fp32"))
    return workload


def measured(device: Device, profile: Profile, precision: str) -> Bound:
    """This machine's own rate in TFLOP/s, of the fastest size in the profile's sweep; measured once per process."""
    sizes = profile.workloads.matmul
    swept = _sweep(device, precision, sizes, profile.peak(f"matmul.{precision}"))
    size = max(swept, key=lambda size: swept[size])
    return Bound(value=swept[size], unit="TFLOP/s", source=f"{precision} matmul of size {size}, measured in this run")


@cache
def _sweep(device: Device, precision: str, sizes: Sizes, peak: Bound) -> dict[int, float]:
    """TFLOP/s by size, each of the fastest of a few short rounds; raises what `require_hardware` raises."""
    require_hardware(device, precision)
    rates = {}
    for size in sizes.sweep:
        workload = Matmul(device, precision, size, _matmuls(sizes, size, SWEEP_PART), peak)
        rates[size] = workload.work.amount / fastest_s(workload.run)
    return rates


def _matmuls(sizes: Sizes, size: int, part: int) -> int:
    """How many matmuls of a size make up this part of the work of a round of the profile's size; at least one."""
    return max(1, round(sizes.products / part * (sizes.size / size) ** 3))
