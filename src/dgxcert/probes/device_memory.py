"""Device memory: the driver's figure for a card of its own, the system's where memory is unified or there is no GPU."""

from dataclasses import dataclass

from dgxcert.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes import memory, nvml


@dataclass(frozen=True)
class DeviceMemory:
    """Total size in GiB and who said so."""

    total_gib: float
    source: str


def read(device: Device) -> DeviceMemory:
    """The memory that work on this device can use; raises Inconclusive where nobody tells."""
    if device.kind == "cpu":
        return DeviceMemory(memory.read().total_gib, "MemTotal of /proc/meminfo")
    found = nvml.gpu(device.index).memory_gib
    if found is not None:
        return DeviceMemory(found, "NVML")
    if device.unified_memory:
        return DeviceMemory(memory.read().total_gib, "MemTotal of /proc/meminfo: memory is unified, NVML has no figure")
    raise Inconclusive(
        f"the driver has no memory figure for {device.product}, and its profile does not say that memory is unified",
        "Run `nvidia-smi -q -d MEMORY`; if memory really is unified, write `unified_memory: true` under `gpu:`.",
    )
