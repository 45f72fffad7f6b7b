"""Room: the one place that decides how much memory work may take; on unified memory too much can hang the host.

What is available comes from the system where memory is shared with it, never from CUDA or NVML, whose figures leave
out the page cache there. The margin that stays free comes from the profile.
"""

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory

GIB = 1024**3
SHARED_MARGIN_GIB = 16.0
"""The least that stays free where a GPU shares the system's memory, also where the profile does not know of it."""


def require(device: Device, needed_bytes: float, what: str, *advice: str) -> None:
    """Raise Inconclusive unless `what` fits beside everything else, with a margin; `advice` comes last."""
    needed_gib, margin_gib = needed_bytes / GIB, _margin_gib(device)
    available_gib = _available_gib(device)
    if needed_gib + margin_gib > available_gib:
        raise Inconclusive(
            f"{what} needs {needed_gib:.1f} GiB beside a margin of {margin_gib:.0f} GiB; "
            f"{available_gib:.1f} GiB are available on {device.name}",
            "See who uses the memory: nvidia-smi; free -g",
            "End other work, then run again.",
            *advice,
        )


def allowed_bytes(device: Device) -> int:
    """How much work may take at the most: what is available less the margin; 0 where not even that is there."""
    return max(0, int((_available_gib(device) - _margin_gib(device)) * GIB))


def _margin_gib(device: Device) -> float:
    return max(device.margin_gib, SHARED_MARGIN_GIB) if device.shares_system_memory else device.margin_gib


def _available_gib(device: Device) -> float:
    """GiB that can be had: CUDA's figure for a card of its own, the system's for everything else."""
    if device.kind == "cuda" and not device.shares_system_memory:
        return device.cuda_free_bytes() / GIB
    return memory.read().available_gib
