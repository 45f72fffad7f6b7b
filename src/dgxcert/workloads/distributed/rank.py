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
    hosts: tuple[str, ...] = ()
    """The machine of each rank; empty where all are on this one."""

    @property
    def device(self) -> Device:
        """The device that this rank works on."""
        return self.devices[self.index]

    @property
    def size(self) -> int:
        """How many ranks there are, the world size of torch.distributed."""
        return len(self.devices)

    @property
    def beside(self) -> int:
        """How many ranks share this one's machine with it, itself among them."""
        return self.hosts.count(self.hosts[self.index]) if self.hosts else self.size

    def other(self, index: int) -> "Rank":
        """Another rank of the same work."""
        return Rank(index, self.devices, self.hosts)

    @property
    def name(self) -> str:
        """What a report calls it: its machine where there are several, else `GPU 1`, or `rank 1` on a CPU.

        >>> one = Device("cuda", 0, "NVIDIA GB10")
        >>> Rank(1, (one, one), ("spark-01", "spark-02")).name
        'spark-02'
        """
        if self.hosts:
            return self.hosts[self.index]
        return f"{'GPU' if self.device.kind == 'cuda' else 'rank'} {self.device.index}"
