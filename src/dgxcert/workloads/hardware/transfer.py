"""Transfers: how fast bytes are copied between the host's memory and a GPU's, as weights and batches are."""

from dgxcert.judgement.benchmark_cases import TRANSFERS
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware.bandwidth import MIB, POISON, SEED
from dgxcert.workloads.round_timer import AddRound, repeat

TO_DEVICE, TO_HOST = TRANSFERS


class Transfer:
    """One copy of a buffer per round between pinned host memory and the device, in one direction."""

    def __init__(self, device: Device, size_bytes: int, peak: Bound, direction: str) -> None:
        import torch

        allocation.require(device, size_bytes, f"a buffer of {size_bytes / MIB:.0f} MiB")
        self.device = device
        generator = torch.Generator("cpu").manual_seed(SEED)
        values = torch.randint(-(2**31), 2**31 - 1, (size_bytes // 4,), generator=generator, dtype=torch.int32)
        # Pageable memory would be copied through a buffer of the driver first. For a CPU there is nothing to pin.
        pinned = values.pin_memory() if device.kind == "cuda" else values.clone()
        on_device = torch.full_like(values, POISON, device=device.name)
        self._source, self._target = (pinned, on_device) if direction == TO_DEVICE else (values.to(device.name), pinned)
        self._values = values
        self.poison()
        self.work = Work(device, values.nbytes / 1e9, peak)

    def poison(self) -> None:
        """Overwrite the target, so that a transfer that does nothing is detected."""
        self._target.fill_(POISON)

    def run_rounds(self, add_round: AddRound) -> None:
        """One transfer after another."""
        repeat(self.run, add_round)

    def run(self) -> None:
        """One transfer; returns when the device is done."""
        self._target.copy_(self._source, non_blocking=True)
        self.device.wait()

    def differing(self) -> int:
        """How many 32-bit words of the last transfer differ from what was sent."""
        return int(numerics.differing(self._target.cpu(), self._values))

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare every word of the last transfer with what was sent; raises Wrong."""
        source = "every word of the last timed transfer, compared"
        wrong = evidence.record("words that differ", self.differing(), source=source)
        evidence.require(wrong == 0)


def require_host(size_bytes: int, profile: Profile) -> None:
    """Raise Inconclusive unless the host has the memory with its margin: pinned memory cannot be swapped out."""
    needed, usable = 3 * size_bytes / allocation.GIB, memory.usable()
    margin = profile.memory.margin.value
    if needed + margin > usable.gib:
        raise Inconclusive(
            f"the host has {usable.gib:.1f} GiB available, {needed:.1f} are needed beside a margin of {margin:.0f}"
            f"{f' ({usable.limited})' if usable.limited else ''}",
            *usable.remedy,
            "End other work, then run again.",
        )


@LEDGER.on(Spent.BUILDING)
def prepare(device: Device, profile: Profile, direction: str) -> Transfer:
    """The `to_device` or `to_host` workload of a profile; raises Inconclusive where a device lacks own memory."""
    if device.kind != "cuda":
        raise Inconclusive(
            f"{device.product} has no memory of its own to transfer anything to",
            "Name HOST-TRANSFER under `not_applicable:` in the profile of a machine without a GPU.",
        )
    size_bytes = profile.workloads.transfer.size_mib * MIB
    require_host(size_bytes, profile)
    return Transfer(device, size_bytes, profile.peak("host_link"), direction)
