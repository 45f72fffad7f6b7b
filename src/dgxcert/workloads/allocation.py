"""Memory budget: the one place that decides how much memory a workload may take.

An allocation that is too large can hang a host with unified memory. There the available memory is the system's, never
that of CUDA or NVML, which do not count the page cache as free, and never more than the limits of this process allow.
The margin that stays free comes from the profile.
"""

from dataclasses import replace

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory

GIB = 1024**3
SHARED_MARGIN_GIB = 16.0
"""Smallest margin where a GPU shares the system's memory, also with a profile that gives less."""


def require(device: Device, needed_bytes: float, what: str, *advice: str) -> None:
    """Raise Inconclusive unless `what` fits into the available memory with the margin; `advice` ends the remedy.

    >>> require(Device("cpu", 0, "CPU"), 1e15, "a model")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    dgxcert.outcome.Inconclusive: a model needs 931322.6 GiB beside a margin of 0 GiB; 100.0 GiB are available on cpu
    """
    needed_gib, margin_gib = needed_bytes / GIB, _margin_gib(device)
    available = _available(device)
    if needed_gib + margin_gib > available.gib:
        limited = f" ({available.limited})" if available.limited else ""
        raise Inconclusive(
            f"{what} needs {needed_gib:.1f} GiB beside a margin of {margin_gib:.0f} GiB; "
            f"{available.gib:.1f} GiB are available on {device.name}{limited}",
            *available.remedy,
            "Check which processes use the memory: nvidia-smi; free -g",
            "End other work, then run again.",
            *advice,
        )


def allowed_bytes(device: Device) -> int:
    """The memory budget of a workload: available memory less the margin, or 0 where that is negative."""
    return max(0, int((_available(device).gib - _margin_gib(device)) * GIB))


def raising(device: Device) -> tuple[str, ...]:
    """The steps that raise the limit of this process where that is what leaves little memory; empty otherwise."""
    return _available(device).remedy


def _margin_gib(device: Device) -> float:
    return max(device.margin_gib, SHARED_MARGIN_GIB) if device.shares_system_memory else device.margin_gib


def _available(device: Device) -> memory.Usable:
    """CUDA's figure for a card with its own memory; for all else what this process may take of the system's."""
    if device.kind == "cuda" and not device.shares_system_memory:
        return memory.Usable(device.cuda_free_bytes() / GIB, "cudaMemGetInfo")
    usable = memory.usable()
    return usable if device.lanes == 1 else replace(usable, gib=usable.gib / device.lanes)
