"""Placement: a rank runs on the processors beside its GPU, as the kernel tells them."""

import os
from pathlib import Path

from dgxcert.workloads.distributed.rank import Rank

PCI = Path("/sys/bus/pci/devices")


def bind(rank: Rank) -> tuple[int, ...]:
    """Bind this process to the processors beside its GPU, as far as it may use them; returns those it runs on.

    Where the kernel tells none, as in many virtual machines, it stays where it is.
    """
    allowed = os.sched_getaffinity(0)
    near = allowed & set(beside(rank.device.index))
    if near and near != allowed:
        os.sched_setaffinity(0, near)
    return tuple(sorted(near or allowed))


def beside(gpu: int) -> tuple[int, ...]:
    """The processors beside a GPU; none where the kernel does not report them."""
    import torch

    properties = torch.cuda.get_device_properties(gpu)
    try:
        address = f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
        return parse((PCI / address / "local_cpulist").read_text(encoding="ascii"))
    except (AttributeError, OSError, ValueError):  # torch before 2.8 reports no address
        return ()


def parse(text: str) -> tuple[int, ...]:
    r"""Processors, from a list as the kernel writes it.

    >>> parse("0-3,112-113\n"), parse("\n")
    ((0, 1, 2, 3, 112, 113), ())
    """
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


def identity(rank: Rank) -> str:
    """What this rank really works on: the UUID of its process's current GPU, or its number among the ranks on a CPU."""
    import torch
    import torch.distributed as dist

    if rank.device.kind != "cuda":
        return f"rank {dist.get_rank()}"
    there = torch.zeros(1, device="cuda")  # not by its number: where what names no device goes
    return f"GPU-{torch.cuda.get_device_properties(there.device).uuid}"
