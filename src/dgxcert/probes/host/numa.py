"""NUMA nodes: which parts of the host's memory are beside which processors, from sysfs."""

from collections.abc import Iterable
from pathlib import Path

PROCESSORS = Path("/sys/devices/system/cpu")


def nodes_of(processors: Iterable[int], folder: Path = PROCESSORS) -> tuple[int, ...]:
    """The NUMA nodes of processors, in order; none where the kernel does not report them.

    >>> nodes_of([0], Path("/nowhere"))
    ()
    """
    entries = (entry for processor in processors for entry in (folder / f"cpu{processor}").glob("node[0-9]*"))
    return tuple(sorted({int(entry.name.removeprefix("node")) for entry in entries}))


def nodes(folder: Path = PROCESSORS) -> tuple[int, ...]:
    """The NUMA nodes that have processors; none where the kernel does not report them."""
    numbers = (entry.name.removeprefix("cpu") for entry in folder.glob("cpu[0-9]*"))
    return nodes_of((int(number) for number in numbers if number.isdigit()), folder)
