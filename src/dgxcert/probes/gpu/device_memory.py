"""Device memory: NVML's figure for a GPU with its own, the system's where memory is unified or there is no GPU."""

from dataclasses import dataclass

from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import memory


@dataclass(frozen=True)
class DeviceMemory:
    """Total size in GiB, and where the figure comes from."""

    total_gib: float
    source: str


@dataclass(frozen=True)
class Free:
    """Free memory by CUDA, and memory available to work: the system's where memory is unified. In GiB."""

    cuda_gib: float
    available_gib: float
    source: str


def free(device: Device) -> Free:
    """Both figures for one GPU. Raises Inconclusive where one is not reported."""
    cuda_gib = device.cuda_free_bytes() / nvml.BYTES_PER_GIB
    if device.shares_system_memory:
        return Free(cuda_gib, memory.read().available_gib, "MemAvailable of /proc/meminfo: memory is unified")
    return Free(cuda_gib, read(device).total_gib, "all memory of the card, by NVML")


def read(device: Device) -> DeviceMemory:
    """The total memory of a device. Raises Inconclusive where nothing reports it."""
    if device.kind == "cpu":
        return DeviceMemory(memory.read().total_gib, "MemTotal of /proc/meminfo")
    total = nvml.ask(device.index, "memory_total").if_supported("memory_total")
    if total:  # GB10 has no framebuffer: most drivers answer Not Supported, some answer 0
        return DeviceMemory(total / nvml.BYTES_PER_GIB, "NVML")
    if device.memory is MemoryKind.UNIFIED:
        return DeviceMemory(memory.read().total_gib, "MemTotal of /proc/meminfo: memory is unified, NVML has no figure")
    raise Inconclusive(
        f"the driver has no memory figure for {device.product}, and its profile does not say that memory is unified",
        "Run `nvidia-smi -q -d MEMORY`. If memory is unified, write `memory: unified` in the profile's `gpu:`.",
    )
