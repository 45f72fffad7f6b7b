"""System memory, from /proc/meminfo; with unified memory also the only correct figure for the GPU's memory.

Memory of GPUs that the kernel counts as the system's is left out: `machine.gpu_memory_nodes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgxcert.machine import gpu_memory_nodes, memory_limits
from dgxcert.machine.gpu_memory_nodes import Held
from dgxcert.machine.memory_limits import MemoryLimit
from dgxcert.outcome import Inconclusive

MEMINFO = Path("/proc/meminfo")
KIB_PER_GIB = 1024**2
BYTES_PER_GIB = 1024**3
NOTHING = Held()


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
        return parse(MEMINFO.read_text(encoding="ascii"), gpu_memory_nodes.read())
    except OSError as error:
        raise Inconclusive(
            f"{MEMINFO} cannot be read: {error.strerror}", "Run on Linux, with /proc mounted."
        ) from error


def source() -> str:
    """Where the figures of `read` are from, and what of them is left out."""
    return f"/proc/meminfo{gpu_memory_nodes.read().described}"


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
    return _within(read().available_gib, f"MemAvailable of {source()}", lambda limit: limit.available)


def usable_at_most() -> Usable:
    """What this process could use if nothing were in use; raises Inconclusive where /proc/meminfo cannot be read."""
    return _within(read().total_gib, f"MemTotal of {source()}", lambda limit: limit.size)


def _within(gib: float, source: str, allows: Callable[[MemoryLimit], int]) -> Usable:
    """The machine's figure, or that of the tightest limit where it is smaller."""
    tightest = min(memory_limits.read(), key=allows, default=None)
    if tightest is None or allows(tightest) / BYTES_PER_GIB >= gib:
        return Usable(gib, f"{source}; no limit of this process is below it")
    limited = str(tightest)
    return Usable(allows(tightest) / BYTES_PER_GIB, limited, limited, tightest.remedy)


def parse(meminfo: str, gpus: Held = NOTHING) -> Memory:
    """The memory from the text of /proc/meminfo, less what `gpus` hold of it; raises Inconclusive when one is missing.

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
        total_gib=max(0, kib["MemTotal"] - gpus.total_kib) / KIB_PER_GIB,
        available_gib=max(0, kib["MemAvailable"] - gpus.available_kib) / KIB_PER_GIB,
        swap_gib=kib["SwapTotal"] / KIB_PER_GIB,
        swap_used_gib=(kib["SwapTotal"] - kib["SwapFree"]) / KIB_PER_GIB,
    )
