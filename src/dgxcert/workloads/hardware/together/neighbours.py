"""Neighbours: who else computes on a GPU beside the processes of this run, of which there may be more than one."""

from collections.abc import Sequence

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import Samples


def ours(gpus: Sequence[Device]) -> tuple[int, ...]:
    """How many processes of this run are on each GPU while ranks work: the rank, and this process if it used the GPU.

    >>> ours([Device("cuda", 0, "NVIDIA H200")])
    (1,)
    """
    return tuple(1 + gpu.is_open_here() for gpu in gpus)


def seen(device: Device, ours: int, samples: Samples | None = None) -> tuple[str, tuple[str, ...]]:
    """The other processes on a rank's GPU, and what to do where that is not known; "" and () without any."""
    try:
        listed = device.other_processes(ours) or (samples.neighbours(device.index, ours) if samples else None)
    except Inconclusive as unknown:
        return unknown.problem, unknown.remedy
    return listed or "", ()
