"""Memory bandwidth: how fast the device's memory is read and written, which bounds decode."""

from functools import cache
from typing import TYPE_CHECKING

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.round_timer import AddRound, repeat
from dgxcert.workloads.stopwatch import fastest_s

if TYPE_CHECKING:
    import torch

MIB = 1024**2
SEED = 11
POISON = 0x5A5A5A5A
"""What the target of a copy holds before it, so that a copy that does nothing is detected."""
LOWEST, BEYOND = -63, 64
"""Integers around 0: in any order of addition their sums stay far below 2^24, up to which fp32 is exact."""


class Copy:
    """One copy of a buffer per round; each byte counts twice, as it is read once and written once."""

    def __init__(self, device: Device, size_bytes: int, peak: Bound) -> None:
        import torch

        self.device = device
        allocation.require(device, 2 * size_bytes, f"two buffers of {size_bytes / MIB:.0f} MiB")
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._source = torch.randint(
            -(2**31), 2**31 - 1, (size_bytes // 4,), generator=generator, device=device.name, dtype=torch.int32
        )
        self._target = torch.zeros_like(self._source)
        self.work = Work(device, 2 * self._source.nbytes / 1e9, peak)

    def run_rounds(self, add_round: AddRound) -> None:
        """One copy after another."""
        repeat(self.run, add_round)

    def run(self) -> None:
        """One copy; returns when the device is done."""
        self._target.copy_(self._source)
        self.device.wait()

    def poison(self) -> None:
        """Overwrite the target, so that a copy that does nothing is detected; does not wait for the device."""
        self._target.fill_(POISON)

    def differing(self) -> "torch.Tensor":
        """How many 32-bit words differ, as a number on the device."""
        return numerics.differing(self._target, self._source)

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare every word of the last copy with the original; raises Wrong."""
        source = "every word of the last timed copy, compared"
        wrong = evidence.record("copied words that differ", int(self.differing()), source=source)
        evidence.require(wrong == 0)


class Read:
    """One sum over a buffer per round: each byte is read once, and almost nothing is written."""

    def __init__(self, device: Device, size_bytes: int, peak: Bound) -> None:
        import torch

        self.device = device
        allocation.require(device, 2 * size_bytes, f"a buffer of {size_bytes / MIB:.0f} MiB, and as much to verify it")
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._values = torch.empty(size_bytes // 4, device=device.name, dtype=torch.float32)
        self._values.random_(LOWEST, BEYOND, generator=generator)
        self._sum = torch.zeros((), device=device.name)
        self.work = Work(device, self._values.nbytes / 1e9, peak)

    def run_rounds(self, add_round: AddRound) -> None:
        """One sum after another."""
        repeat(self.run, add_round)

    def run(self) -> None:
        """One sum; returns when the device is done."""
        import torch

        torch.sum(self._values, 0, out=self._sum)
        self.device.wait()

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare the last sum with that of integers; raises Wrong."""
        parts = self._values.split(numerics.COMPARED_AT_A_TIME)
        exact = sum(int(part.long().sum()) for part in parts)
        source = "the last timed sum, compared with that of integers"
        error = evidence.record("sum is off by", float(self._sum) - exact, source=source)
        evidence.require(error == 0.0)


WORKLOADS: dict[str, type[Read] | type[Copy]] = {"read": Read, "copy": Copy}


@LEDGER.on(Spent.BUILDING)
def prepare(device: Device, profile: Profile, direction: str) -> Read | Copy:
    """The `read` or `copy` workload of a profile."""
    return WORKLOADS[direction](device, *_sizes(profile))


@LEDGER.on(Spent.BUILDING)
def prepare_copy(device: Device, profile: Profile) -> Copy:
    """The `copy` workload of a profile."""
    return Copy(device, *_sizes(profile))


def _sizes(profile: Profile) -> tuple[int, Bound]:
    return profile.workloads.bandwidth.size_mib * MIB, profile.peak("memory_bandwidth")


def measured(device: Device, profile: Profile) -> Bound:
    """This machine's own bandwidth in GB/s, the better of read and copy; measured once per process."""
    return _measure(device, profile.workloads.bandwidth.size_mib, profile.peak("memory_bandwidth"))


@cache
def _measure(device: Device, size_mib: int, peak: Bound) -> Bound:
    rates = {}
    for direction, workload_class in WORKLOADS.items():
        workload = workload_class(device, size_mib * MIB, peak)
        rates[direction] = workload.work.amount / fastest_s(workload.run)
    best = max(rates, key=lambda direction: rates[direction])
    source = f"{size_mib} MiB, {best} being the faster of read and copy, measured in this run"
    return Bound(value=rates[best], unit="GB/s", source=source)
