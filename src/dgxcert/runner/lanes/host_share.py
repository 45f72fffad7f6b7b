"""The share of the host that one of several lanes works with: processors near its GPU, and a part of the memory.

Lanes on separate GPUs meet on the host alone. Each is bound to processors of its own, whole cores, of those that sysfs
calls local to its GPU, so that none takes the other's time and each reads memory of its own side of the machine.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

PCI, PROCESSORS = Path("/sys/bus/pci/devices"), Path("/sys/devices/system/cpu")
NVIDIA = "0x10de"
GPU_CLASSES = ("0x0300", "0x0302")
"""VGA and 3D controller: the first digits of sysfs' `class`."""
LONGEST = 65536


class Share(BaseModel):
    """What one child may use of the host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: int | None = None
    """The one GPU that it measures, where others are measured at the same time."""
    place: int = 0
    """Its place among the lanes, counted from 0."""
    lanes: int = 1
    """How many lanes share the host's memory."""
    processors: tuple[int, ...] = ()
    """Those that it is bound to; empty where it may use all."""
    near: bool = False
    """Whether they are local to the GPU; otherwise nothing tells which are."""

    @property
    def bound(self) -> str:
        """How it is bound, as the record says it; "" where it is not.

        >>> Share(gpu=1, lanes=2, processors=(4, 5, 6, 7, 12), near=True).bound
        'processors 4-7,12, local to GPU 1'
        """
        if not self.processors:
            return ""
        why = f"local to GPU {self.gpu}" if self.near else "an equal share, since nothing tells which are local"
        return f"processors {listed(self.processors)}, {why}"

    def take(self) -> str:
        """Bind this process, with all that it starts, to the processors; returns why that was not possible, or ""."""
        if not self.processors:
            return ""
        try:
            os.sched_setaffinity(0, self.processors)
        except OSError as error:
            return f"it could not be bound to processors {listed(self.processors)}: {error.strerror}"
        return ""


WHOLE = Share()
"""The share of who has the machine for itself."""


def of_lanes(gpus: Sequence[int], on_bus: int) -> tuple[Share, ...]:
    """The shares of lanes that measure these GPUs at the same time; `on_bus` is how many the driver lists in all."""
    local = _local(on_bus)
    allowed = sorted(os.sched_getaffinity(0))
    cores = _cores(allowed)
    shares = divided({gpu: local.get(gpu, ()) for gpu in gpus}, cores)
    return tuple(
        Share(gpu=gpu, place=place, lanes=len(gpus), processors=shares[gpu], near=bool(local.get(gpu)))
        for place, gpu in enumerate(gpus)
    )


def divided(local: Mapping[int, Sequence[int]], cores: Sequence[tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
    """The processors of each GPU: whole cores, each of one GPU; none for any where there are too few cores.

    `local` are the processors near each GPU, where that is known; GPUs with the same ones share them evenly.

    >>> cores = [(0, 4), (1, 5), (2, 6), (3, 7)]
    >>> divided({0: (0, 1, 4, 5), 1: (2, 3, 6, 7)}, cores)
    {0: (0, 1, 4, 5), 1: (2, 3, 6, 7)}
    >>> divided({0: (), 1: ()}, cores)
    {0: (0, 1, 4, 5), 1: (2, 3, 6, 7)}
    >>> divided({0: (), 1: ()}, cores[:1])
    {0: (), 1: ()}
    """
    groups: dict[frozenset[int], list[int]] = {}
    for gpu, numbers in local.items():
        groups.setdefault(frozenset(numbers), []).append(gpu)
    if any(mine & other for mine in groups for other in groups if mine != other) or frozenset() in groups:
        groups = {frozenset(): list(local)}  # sides that overlap, or are not all known, are no sides
    shares: dict[int, tuple[int, ...]] = {}
    for near, gpus in groups.items():
        mine = [core for core in cores if not near or near.issuperset(core)]
        each = len(mine) // len(gpus)
        for place, gpu in enumerate(gpus):
            shares[gpu] = tuple(sorted(sum(mine[place * each : (place + 1) * each], ())))
    return {gpu: shares[gpu] if all(shares.values()) else () for gpu in local}


def _local(on_bus: int) -> dict[int, tuple[int, ...]]:
    """The processors near each GPU by its index, which is its place in the order of the bus, as NVML counts.

    Empty where the bus has another number of GPUs than the driver: then the indexes would be those of others.
    """
    if not PCI.is_dir():
        return {}
    devices = [device for device in sorted(PCI.iterdir()) if _is_gpu(device)]
    if len(devices) != on_bus:
        return {}
    return {index: parsed(_text(device / "local_cpulist")) for index, device in enumerate(devices)}


def _is_gpu(device: Path) -> bool:
    return _text(device / "vendor") == NVIDIA and _text(device / "class").startswith(GPU_CLASSES)


def _cores(allowed: Sequence[int]) -> list[tuple[int, ...]]:
    """The processors that this process may use, those of one core together; alone where nothing tells."""
    cores: dict[tuple[int, ...], None] = {}
    for number in allowed:
        together = parsed(_text(PROCESSORS / f"cpu{number}" / "topology" / "thread_siblings_list"))
        core = tuple(each for each in together if each in allowed)
        cores.setdefault(core if number in core else (number,))
    return list(cores)


def parsed(text: str) -> tuple[int, ...]:
    r"""The numbers in the kernel's form of a list of processors; empty where it has another form.

    >>> parsed("0-3,8,10-11\n"), parsed("")
    ((0, 1, 2, 3, 8, 10, 11), ())
    """
    found: list[int] = []
    for part in text.strip().split(","):
        span = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part)
        if span is None:
            return ()
        found += range(int(span[1]), int(span[2] or span[1]) + 1)
    return tuple(found)


def listed(numbers: Sequence[int]) -> str:
    """Processors in the kernel's form.

    >>> listed((0, 1, 2, 3, 8, 10, 11))
    '0-3,8,10-11'
    """
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in spans)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")[:LONGEST].strip()
    except OSError:
        return ""
