"""A rank: one of the processes that work together, each on a device of its own."""

from dataclasses import dataclass

from dgxcert.machine.device import Device


@dataclass(frozen=True)
class Rank:
    """One process of several.

    >>> Rank(1, (Device("cuda", 0, "NVIDIA H200"), Device("cuda", 1, "NVIDIA H200"))).device.name
    'cuda:1'
    """

    index: int
    devices: tuple[Device, ...]
    """The device of each rank, in the order of ranks."""

    @property
    def device(self) -> Device:
        """The device that this rank works on."""
        return self.devices[self.index]

    @property
    def size(self) -> int:
        """How many ranks there are, the world size of torch.distributed."""
        return len(self.devices)

    @property
    def name(self) -> str:
        """What a report calls it: `GPU 1`, or `rank 1` where the CPU stands for GPUs."""
        return f"{'GPU' if self.device.kind == 'cuda' else 'rank'} {self.device.index}"
