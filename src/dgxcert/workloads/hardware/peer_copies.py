"""Peer copies: buffers that every GPU sends to every other, exact to the bit, once or as a load of the links."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.machine.device import Device
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.links import peers
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware.bandwidth import MIB, POISON, SEED

if TYPE_CHECKING:
    import torch

LOAD_S = 5.0
"""How long links are loaded; a link of 25 GB/s moves 10^12 bits in that time."""
COPY_MIB, LOAD_MIB = 16, 128
"""A buffer of 128 MiB takes 0.3 ms over 18 links of 25 GB/s, ten times what starting the copy costs."""

REMEDY = (
    "Run it again: an error that comes and goes points at hardware, one that stays at settings.",
    "Look whether the IOMMU stands between GPUs that PCIe joins, and switch it off in the firmware's setup: "
    "sudo dmesg | grep -iE 'iommu|dmar|amd-vi'; lspci -vvv | grep -i acsctl",
    "Copy through the host's memory meanwhile: export NCCL_P2P_DISABLE=1",
    *peers.REMEDY[:1],
    Trait.CARD.only("Shut down, and reseat the cards and the NVLink bridges between them."),
    "Open a hardware case with this run folder if a pair of GPUs still copies wrongly.",
)


@dataclass(frozen=True)
class Copied:
    """What arrived: words that differ by sender and receiver, and the pairs that CUDA keeps from one another."""

    differing: Mapping[tuple[str, str], int]
    apart: tuple[tuple[str, str], ...] = ()
    words: int = 0

    @property
    def wrong(self) -> int:
        """Words that arrived wrong, of all pairs."""
        return sum(self.differing.values())

    @property
    def source(self) -> str:
        """Which copies were wrong, as text for evidence.

        >>> Copied({("GPU 0", "GPU 1"): 0, ("GPU 1", "GPU 0"): 4}, words=1024).source
        'every word of 2 copies of 1024 words: GPU 1 to GPU 0 wrong'
        """
        wrong = [f"{sender} to {receiver}" for (sender, receiver), count in self.differing.items() if count]
        said = f"{', '.join(wrong[:6])} wrong" if wrong else "all as they were sent"
        return f"every word of {len(self.differing)} copies of {self.words} words: {said}"

    @property
    def access_source(self) -> str:
        """Which pairs have no access, as text for evidence.

        >>> Copied({}, (("GPU 0", "GPU 1"),)).access_source
        'torch.cuda.can_device_access_peer: not GPU 0 and GPU 1'
        """
        named = ", ".join(f"{first} and {second}" for first, second in self.apart[:6])
        return f"torch.cuda.can_device_access_peer: {f'not {named}' if named else 'every pair in both directions'}"


class PeerCopies:
    """Each device sends a buffer of its own to every other one, all at once and in turn around the circle."""

    def __init__(self, devices: Sequence[Device], size_bytes: int) -> None:
        if len(devices) < 2:
            raise Inconclusive("there are fewer than two GPUs to copy between", "See GPU-PRESENT first.")
        self.devices = tuple(devices)
        self.words = size_bytes // 4
        for device in devices:
            allocation.require(device, 3 * size_bytes, f"three buffers of {size_bytes / MIB:.0f} MiB")
        self._sources = [self._values(sender, sender) for sender in range(len(devices))]
        self._targets = [values.clone() for values in self._sources]

    def run(self) -> None:
        """One copy of every ordered pair; returns when all devices are done."""
        for step in range(1, len(self.devices)):
            self._step(step)
        self._wait()

    def differing(self) -> dict[tuple[str, str], int]:
        """How many words of each copy differ from what was sent, by the names of sender and receiver."""
        found: dict[tuple[str, str], int] = {}
        for step in range(1, len(self.devices)):
            for target in self._targets:
                target.fill_(POISON)  # so that a copy that does nothing is detected
            self._wait()
            self._step(step)
            self._wait()
            for receiver, target in enumerate(self._targets):
                sender = (receiver - step) % len(self.devices)
                # The same seed gives the same numbers on every GPU: nothing has to be sent to compare with.
                count = int(numerics.differing(target, self._values(sender, receiver)))
                found[_name(self.devices[sender]), _name(self.devices[receiver])] = count
        return found

    def apart(self) -> tuple[tuple[str, str], ...]:
        """The pairs of GPUs of which one may not reach the other's memory."""
        import torch

        found = []
        for number, first in enumerate(self.devices):
            for second in self.devices[number + 1 :]:
                both = ((first.index, second.index), (second.index, first.index))
                if first.kind == "cuda" and not all(torch.cuda.can_device_access_peer(*pair) for pair in both):
                    found.append((_name(first), _name(second)))
        return tuple(found)

    def _step(self, step: int) -> None:
        for sender, source in enumerate(self._sources):
            self._targets[(sender + step) % len(self.devices)].copy_(source, non_blocking=True)

    def _wait(self) -> None:
        for device in self.devices:
            device.wait()

    def _values(self, sender: int, on: int) -> "torch.Tensor":
        import torch

        name = self.devices[on].name
        generator = torch.Generator(name).manual_seed(SEED + sender)
        low, high = -(2**31), 2**31 - 1
        return torch.randint(low, high, (self.words,), generator=generator, device=name, dtype=torch.int32)


def between(devices: Sequence[Device], size_mib: int = COPY_MIB) -> Copied:
    """One copy of every ordered pair of devices, compared word by word. Raises Inconclusive where memory is short."""
    copies = PeerCopies(devices, size_mib * MIB)
    return Copied(copies.differing(), copies.apart(), copies.words)


def load(devices: Sequence[Device], *, seconds: float, size_mib: int = LOAD_MIB) -> int:
    """Copy between all devices for so long; returns how many rounds of all pairs that were.

    Raises Wrong where the last copies did not arrive as they were sent.
    """
    copies = PeerCopies(devices, size_mib * MIB)
    rounds, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        copies.run()
        rounds += 1
    wrong = [pair for pair, count in copies.differing().items() if count]
    if wrong:
        named = ", ".join(f"{sender} to {receiver}" for sender, receiver in wrong[:6])
        raise Wrong(f"copies between GPUs arrived changed: {named}")
    return rounds


def _name(device: Device) -> str:
    return f"{'GPU' if device.kind == 'cuda' else 'rank'} {device.index}"
