"""System memory, from /proc/meminfo; with unified memory also the only correct figure for the GPU's memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgxcert.machine import memory_limits
from dgxcert.machine.memory_limits import MemoryLimit
from dgxcert.outcome import Inconclusive

MEMINFO = Path("/proc/meminfo")
KIB_PER_GIB = 1024**2
BYTES_PER_GIB = 1024**3


@dataclass(frozen=True)
class Memory:
    """Sizes in GiB. `available_gib` can be allocated without swapping: it includes reclaimable page cache."""

    total_gib: float
    available_gib: float
    swap_gib: float
    swap_used_gib: float


def read() -> Memory:
    """The memory of this machine; raises Inconclusive where /proc/meminfo cannot be read."""
    try:
        return parse(MEMINFO.read_text(encoding="ascii"))
    except OSError as error:
        raise Inconclusive(
            f"{MEMINFO} cannot be read: {error.strerror}", "Run on Linux, with /proc mounted."
        ) from error


@dataclass(frozen=True)
class Usable:
    """Memory that this process may still take, or use in all, in GiB: what the machine and its limits allow.

    `limited` describes the limit where one allows less than the machine has, and `remedy` how it is raised.
    """

    gib: float
    source: str
    limited: str = ""
    remedy: tuple[str, ...] = ()


def usable() -> Usable:
    """What this process may still take; raises Inconclusive where /proc/meminfo cannot be read."""
    return _within(read().available_gib, "MemAvailable of /proc/meminfo", lambda limit: limit.available)


def usable_at_most() -> Usable:
    """What this process could use if nothing were in use; raises Inconclusive where /proc/meminfo cannot be read."""
    return _within(read().total_gib, "MemTotal of /proc/meminfo", lambda limit: limit.size)


def _within(gib: float, source: str, allows: Callable[[MemoryLimit], int]) -> Usable:
    """The machine's figure, or that of the tightest limit where it is smaller."""
    tightest = min(memory_limits.read(), key=allows, default=None)
    if tightest is None or allows(tightest) / BYTES_PER_GIB >= gib:
        return Usable(gib, f"{source}; no limit of this process is below it")
    limited = str(tightest)
    return Usable(allows(tightest) / BYTES_PER_GIB, limited, limited, tightest.remedy)


def parse(meminfo: str) -> Memory:
    """The memory from the text of /proc/meminfo; raises Inconclusive when a figure is missing or not in kB.

    >>> parse('''MemTotal:       127535596 kB
    ... MemFree:         3145728 kB
    ... MemAvailable:   115343360 kB
    ... SwapTotal:       16777212 kB
    ... SwapFree:        16777212 kB
    ... ''').available_gib
    110.0
    """
    kib: dict[str, int] = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            kib[name] = int(words[0])
    missing = {"MemTotal", "MemAvailable", "SwapTotal", "SwapFree"} - set(kib)
    if missing:
        raise Inconclusive(f"{MEMINFO} has no {', '.join(sorted(missing))} in kB", "Read the file: cat /proc/meminfo")
    return Memory(
        total_gib=kib["MemTotal"] / KIB_PER_GIB,
        available_gib=kib["MemAvailable"] / KIB_PER_GIB,
        swap_gib=kib["SwapTotal"] / KIB_PER_GIB,
        swap_used_gib=(kib["SwapTotal"] - kib["SwapFree"]) / KIB_PER_GIB,
    )
