"""Headroom: what memory is left for the machine itself, and a guard that ends work before there is none.

On unified memory a machine that runs out does not end the program that asked for too much: it stands still.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from dgxcert.limit import Bound

MEMINFO = Path("/proc/meminfo")
KIB_PER_GIB = 1024**2
LOOK_S = 0.02
"""Between two looks: the fastest of these machines could write a few GiB in the meantime."""


def shortage(floor: Bound) -> str:
    """In words, that less memory is available than the floor of a profile; empty while there is enough.

    Empty, too, where the kernel does not say: then the sizes of work are all that protects the machine.
    """
    available_gib = _available_gib()
    if available_gib is None or available_gib >= floor.value:
        return ""
    return (
        f"only {available_gib:.1f} GiB of memory were left to the machine, less than the {floor.value:g} GiB below "
        f"which work is stopped ({floor.source})"
    )


def guard(floor: Bound, works: Callable[[], bool], stop: Callable[[str], None]) -> threading.Thread:
    """Look in the background while something works; call `stop` with the shortage in words, when there is one."""

    def look() -> None:
        while not (works() and (words := shortage(floor))):
            time.sleep(LOOK_S)
        stop(words)

    thread = threading.Thread(target=look, name="memory guard", daemon=True)
    thread.start()
    return thread


def _available_gib() -> float | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(found) / KIB_PER_GIB if found else None
