"""The memory guard: stops work before the machine runs out of memory.

On unified memory the kernel does not kill the program that took too much in time: it swaps, and the machine freezes.
In a control group with a limit it kills without a word, so that a shortage there is named as well.
"""

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dgxcert.machine import gpu_memory_nodes, memory_limits
from dgxcert.machine.memory_limits import GroupLimit

MEMINFO = Path("/proc/meminfo")
KIB_PER_GIB = 1024**2
BYTES_PER_GIB = 1024**3
POLL_S = 0.02
"""Between two readings: the fastest of these machines can write a few GiB in this time."""


def shortage(floor_gib: float, source: str) -> str:
    """A description of the shortage where less than `floor_gib` is available; empty while there is enough.

    `source` explains the floor. Also empty where the kernel reports no figure: then only the workloads' own sizes
    protect the machine.
    """
    below = f"less than the {floor_gib:g} GiB below which work is stopped ({source})"
    available_gib = _available_gib()
    if available_gib is not None and available_gib < floor_gib:
        return f"only {available_gib:.1f} GiB of memory were available to the machine, {below}"
    for limit in limits_of_groups():
        left_gib = limit.room(enough=int(floor_gib * BYTES_PER_GIB)) / BYTES_PER_GIB
        if left_gib < floor_gib:
            return f"only {left_gib:.1f} GiB of memory were left below {limit.files[0]} of {limit.group}, {below}"
    return ""


@cache
def limits_of_groups() -> tuple[GroupLimit, ...]:
    """The limits of this process's control groups, looked for once: without one, polling reads nothing more."""
    return memory_limits.groups()


def start(
    shortage: Callable[[], str], busy: Callable[[], bool], stop: Callable[[str], None], patience_s: float = 0.0
) -> threading.Thread:
    """Start a thread that calls `stop` once, with the description of the first shortage that is found while `busy`.

    With patience only where it lasts so long: another process may end first.
    """

    def lasting() -> str:
        description = shortage()
        if description and patience_s:
            time.sleep(patience_s)
            description = shortage()
        return description

    def watch() -> None:
        while not (busy() and (description := lasting())):
            time.sleep(POLL_S)
        stop(description)

    thread = threading.Thread(target=watch, name="memory guard", daemon=True)
    thread.start()
    return thread


def _available_gib() -> float | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available_kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    if not available_kib:
        return None
    # A GPU's memory does not help a host that runs out of its own: the kernel takes it, and the GPU's work dies.
    return max(0, int(available_kib) - gpu_memory_nodes.read().available_kib) / KIB_PER_GIB
