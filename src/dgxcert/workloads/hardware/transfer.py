"""Transfer: how fast bytes go from the host's memory to a GPU and back, which is how weights and batches get there."""

from dgxcert.judgement.benchmark_cases import TRANSFERS
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Work
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware.bandwidth import MIB, POISON, SEED
from dgxcert.workloads.round_timer import AddRound, repeat

TO_DEVICE, TO_HOST = TRANSFERS


class Transfer:
    """One copy of a buffer per round between pinned memory of the host and the device."""

    def __init__(self, device: Device, profile: Profile, direction: str) -> None:
        import torch

        if device.kind != "cuda":
            raise Inconclusive(
                f"{device.product} has no memory of its own to transfer anything to",
                "Name HOST-TRANSFER under `not_applicable:` in the profile of a machine without a GPU.",
            )
        size_bytes = profile.workloads.transfer.size_mib * MIB
        allocation.require(device, size_bytes, f"a buffer of {size_bytes / MIB:.0f} MiB")
        _require_host(size_bytes, profile)
        self.device = device
        generator = torch.Generator("cpu").manual_seed(SEED)
        values = torch.randint(-(2**31), 2**31 - 1, (size_bytes // 4,), generator=generator, dtype=torch.int32)
        here = values.pin_memory()
        there = torch.full_like(values, POISON, device=device.name)
        self._source, self._target = (here, there) if direction == TO_DEVICE else (values.to(device.name), here)
        if direction == TO_HOST:
            self._target.fill_(POISON)
        self._values = values
        self.work = Work(device, values.nbytes / 1e9, profile.peak("host_link"))

    def run_rounds(self, add_round: AddRound) -> None:
        """One transfer after another."""
        repeat(self.run, add_round)

    def run(self) -> None:
        """One round; returns when the device is done."""
        self._target.copy_(self._source, non_blocking=True)
        self.device.wait()

    def verify(self, evidence: Recorder) -> None:
        """Hold what arrived against what was sent, every byte; raises Wrong."""
        wrong = int(numerics.differing(self._target.cpu(), self._values))
        found = evidence.record("words that differ", wrong, source="every word of the last timed transfer, compared")
        evidence.require(found == 0)


def _require_host(size_bytes: int, profile: Profile) -> None:
    """Pinned memory cannot be swapped out: raise Inconclusive unless the host has it beside its margin."""
    needed, available = 3 * size_bytes / allocation.GIB, memory.read().available_gib
    margin = profile.memory.margin.value
    if needed + margin > available:
        raise Inconclusive(
            f"the host has {available:.1f} GiB available, {needed:.1f} wanted beside a margin of {margin:.0f}",
            "End other work, then run again.",
        )


def prepare(device: Device, profile: Profile, direction: str) -> Transfer:
    """The transfer `to_device` or `to_host` that a profile asks for."""
    return Transfer(device, profile, direction)
