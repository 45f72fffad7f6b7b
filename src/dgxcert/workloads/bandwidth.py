"""Bandwidth: how fast memory is read and written, which bounds decode."""

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

MIB = 1024**2
SEED = 11
POISON = 0x5A5A5A5A
"""What the target holds before a copy that must not be believed to have been done already."""


class Copy:
    """One copy of a buffer per round: each byte is read once and written once."""

    def __init__(self, device: Device, size_bytes: int, peak: Bound) -> None:
        import torch

        self.device = device
        room.require(device, 2 * size_bytes, f"two buffers of {size_bytes / MIB:.0f} MiB")
        generator = torch.Generator(device.name).manual_seed(SEED)
        self._source = torch.randint(
            -(2**31), 2**31 - 1, (size_bytes // 4,), generator=generator, device=device.name, dtype=torch.int32
        )
        self._target = torch.zeros_like(self._source)
        self.work = Work(device, 2 * self._source.nbytes / 1e9, peak)

    def run(self) -> None:
        """One round; returns when the device is done."""
        self._target.copy_(self._source)
        self.device.wait()

    def poison(self) -> None:
        """Overwrite the target, so that a copy that does nothing leaves something else there; does not wait."""
        self._target.fill_(POISON)

    def differing(self) -> "torch.Tensor":
        """How many copied words differ, as a number that stays on the device."""
        return numerics.differing(self._target, self._source)

    def verify(self, evidence: Recorder) -> None:
        """Hold the copy against the original, every byte; raises Wrong."""
        wrong = int(self.differing())
        found = evidence.record("copied words that differ", wrong, source="every word of the last timed copy, compared")
        evidence.require(found == 0)


def prepare(device: Device, profile: Profile) -> Copy:
    """The copy that a profile asks for."""
    return Copy(device, profile.workloads.bandwidth.size_mib * MIB, profile.peak("memory_bandwidth"))


def measured(device: Device, profile: Profile) -> Bound:
    """This machine's own copying rate in GB/s, the best of a few rounds; measured once per process."""
    return _measure(device, profile.workloads.bandwidth.size_mib, profile.peak("memory_bandwidth"))


@cache
def _measure(device: Device, size_mib: int, peak: Bound) -> Bound:
    workload = Copy(device, size_mib * MIB, peak)
    rate = workload.work.amount / fastest_s(workload.run)
    return Bound(value=rate, unit="GB/s", source=f"copies of {size_mib} MiB, measured in this run")
