"""The limits of a container: what it may take of the machine, so large that work never meets them. Pure but for `read`.

Work is sized by the memory that is available less the margin, and stopped below the floor, so that it never takes all
but the floor: a program that does is ended by its container's limit, and the machine lives. Control groups count what a
process maps, and on unified memory only a part of what a GPU allocates; what they miss, the memory guard sees.
"""

from collections.abc import Mapping
from pathlib import Path

from dgxcert.machine import gpu_memory_nodes

MEMINFO = Path("/proc/meminfo")
GIB, KIB = 1024**3, 1024
OF_MEMORY = {"DGXCERT_SHM": 2, "DGXCERT_TMP": 2}
"""Variable of compose.yaml: the share of the memory that a tmpfs may take, as Linux gives it by default."""
LEAST = 64 * 1024**2
"""Docker's own size of /dev/shm."""


def read(floor_gib: float) -> dict[str, str]:
    """The variables of compose.yaml for this machine; none where the kernel tells no size, and compose.yaml's hold."""
    try:
        gpus = gpu_memory_nodes.read().total_kib * KIB
        return of(parse(MEMINFO.read_text(encoding="ascii")) - gpus, floor_gib)
    except (OSError, UnicodeDecodeError):
        return {}


def of(total_bytes: int, floor_gib: float) -> dict[str, str]:
    """The variables of compose.yaml for a machine with so much memory, all in bytes.

    >>> of(128 * GIB, floor_gib=4)
    {'DGXCERT_MEMORY': '133143986176', 'DGXCERT_SHM': '68719476736', 'DGXCERT_TMP': '68719476736'}
    """
    if total_bytes <= 0:
        return {}
    memory = max(total_bytes - int(floor_gib * GIB), total_bytes // 2)
    shares = {name: str(max(LEAST, total_bytes // part)) for name, part in OF_MEMORY.items()}
    return {"DGXCERT_MEMORY": str(memory), **shares}


def shared(limits: Mapping[str, str], lanes: int) -> dict[str, str]:
    """The variables for each of several containers that work at the same time: an equal part of all.

    >>> shared(of(128 * GIB, floor_gib=4), lanes=4)
    {'DGXCERT_MEMORY': '33285996544', 'DGXCERT_SHM': '17179869184', 'DGXCERT_TMP': '17179869184'}
    """
    return {name: size if lanes == 1 else str(max(LEAST, int(size) // lanes)) for name, size in limits.items()}


def parse(meminfo: str) -> int:
    r"""MemTotal in bytes from the text of /proc/meminfo; 0 without it.

    >>> parse("MemTotal:       127535596 kB\nMemFree: 1 kB\n")
    130596450304
    """
    for line in meminfo.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "MemTotal:" and words[1].isdigit():
            return int(words[1]) * KIB
    return 0
