"""Headroom: what memory is left for the machine itself, and a guard that ends work before there is none.

On unified memory a machine that runs out does not end the program that asked for too much: it stands still.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
KIB_PER_GIB = 1024**2
LOOK_S = 0.02
"""Between two looks: the fastest of these machines could write a few GiB in the meantime."""


def shortage(floor_gib: float, source: str) -> str:
    """In words, that less memory is available than `floor_gib`, which `source` explains; empty while there is enough.

    Empty, too, where the kernel does not say: then the sizes of work are all that protects the machine.
    """
    available_gib = _available_gib()
    if available_gib is None or available_gib >= floor_gib:
        return ""
    return (
        f"only {available_gib:.1f} GiB of memory were left to the machine, less than the {floor_gib:g} GiB below "
        f"which work is stopped ({source})"
    )


def start(short: Callable[[], str], works: Callable[[], bool], stop: Callable[[str], None]) -> threading.Thread:
    """Look in the background while something works; call `stop` with the shortage in words, once `short` names one."""

    def look() -> None:
        while not (works() and (words := short())):
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
