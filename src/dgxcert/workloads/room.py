"""Room: nothing is built that would not fit, because on unified memory an oversized allocation can hang the host."""

from dgxcert.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes import memory

GIB = 1024**3
MARGIN_GIB = {"unified": 16.0, "cuda": 2.0, "cpu": 1.0}
"""What is left free: the whole system lives in unified memory; a discrete GPU only needs its libraries' workspace."""


def require(device: Device, needed_bytes: float, what: str) -> None:
    """Raise Inconclusive unless `what` fits beside everything else, with a margin."""
    kind = "unified" if _shares_system_memory(device) else device.kind
    available_gib, needed_gib = _available_gib(device, kind), needed_bytes / GIB
    if needed_gib + MARGIN_GIB[kind] > available_gib:
        raise Inconclusive(
            f"{what} needs {needed_gib:.1f} GiB beside a margin of {MARGIN_GIB[kind]:.0f} GiB; "
            f"{available_gib:.1f} GiB are available on {device.name}",
            "See who uses the memory: nvidia-smi; free -g",
            "End other work, then run again.",
        )


def _shares_system_memory(device: Device) -> bool:
    """Whether a GPU's memory is the system's: the profile says so, or the GPU itself does."""
    if device.kind == "cpu" or device.unified_memory:
        return device.unified_memory
    import torch

    return bool(torch.cuda.get_device_properties(device.index).is_integrated)


def _available_gib(device: Device, kind: str) -> float:
    """GiB that can be had: the driver's figure for a card of its own, the system's for everything else."""
    if kind == "cuda":
        import torch

        free, _total = torch.cuda.mem_get_info(device.index)
        return float(free) / GIB
    return memory.read().available_gib
