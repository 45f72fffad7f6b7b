"""GPU memory nodes: GPUs' memory that the kernel counts as the system's; no work on the host is sized by it.

On GH200, GB200 and GB300 the driver hands the GPU's memory to the kernel as NUMA nodes without processors, unless
`NVreg_CoherentGPUMemoryMode=driver` is set: MemTotal and MemAvailable of /proc/meminfo then contain it, and a program
that fills the host's memory takes the GPU's ("Understanding Memory Management on Hardware-Coherent Platforms",
developer.nvidia.com/blog; on a DGX Station the kernel shows about 770 GiB, of which 277 are the GPU's:
stas00/ml-engineering, debug/pytorch.md).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NODES = Path("/sys/devices/system/node")
IOMEM = Path("/proc/iomem")
RESOURCE = "System RAM (NVIDIA)"
"""How the driver's memory is called (os_numa_add_gpu_memory in NVIDIA/open-gpu-kernel-modules). Everybody reads the
names in /proc/iomem, and only root the addresses."""
LINE = re.compile(r"^Node \d+ (\w+(?:\(\w+\))?):\s+(\d+) kB$", re.MULTILINE)
RECLAIMABLE = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")
"""What MemAvailable counts of a node, at most: mm/show_mem.c, si_mem_available."""


@dataclass(frozen=True)
class Held:
    """GPU memory in the figures of /proc/meminfo, in KiB: of MemTotal, and at most of MemAvailable."""

    total_kib: int = 0
    available_kib: int = 0

    @property
    def described(self) -> str:
        """What a figure leaves out, to end its source; "" where the kernel counts no memory of a GPU.

        >>> Held(290_000_000, 280_000_000).described
        ", without 276.6 GiB of GPUs' memory"
        """
        return f", without {self.total_kib / 1024**2:.1f} GiB of GPUs' memory" if self.total_kib else ""


def read() -> Held:
    """What is held now; nothing on a machine whose kernel counts no memory of a GPU."""
    return parse(text for path in nodes() if (text := _text(path)))


@cache
def nodes() -> tuple[Path, ...]:
    """The files that describe the memory of these nodes, looked for once: elsewhere nothing more is read.

    Memory without processors that the driver did not add (CXL) is the system's.
    """
    if RESOURCE not in _text(IOMEM):
        return ()
    without = (folder for folder in sorted(NODES.glob("node[0-9]*")) if not _text(folder / "cpulist").strip())
    return tuple(folder / "meminfo" for folder in without)


def parse(meminfos: Iterable[str]) -> Held:
    r"""What the nodes with these texts hold; a node that is offline, or a part of a divided GPU, holds nothing.

    >>> parse(["Node 1 MemTotal: 97871872 kB\nNode 1 MemFree: 97000000 kB\nNode 1 Inactive(file): 800000 kB\n"])
    Held(total_kib=97871872, available_kib=97800000)
    """
    figures = [{name: int(kib) for name, kib in LINE.findall(text)} for text in meminfos]
    return Held(
        total_kib=sum(each.get("MemTotal", 0) for each in figures),
        available_kib=sum(each.get(name, 0) for each in figures for name in RECLAIMABLE),
    )


def _text(path: Path) -> str:
    """The content; empty where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
