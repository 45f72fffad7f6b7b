"""Peak memory: the most that this process has held on a device since the last reset."""

from pathlib import Path

from dgxcert.machine.device import Device

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""proc(5), clear_refs: sets the peak resident size to the present one."""


def reset(device: Device) -> None:
    """Forget the peak so far; where /proc does not allow that, the peak is that since the process began."""
    if device.kind == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device.index)
        return
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return


def read(device: Device) -> int:
    """Bytes: what torch has allocated on a GPU, or the resident size on a CPU; 0 where nobody tells."""
    if device.kind == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device.index))
    return parse(STATUS.read_text(encoding="ascii"))


def parse(status: str) -> int:
    """Bytes of the peak resident size in a /proc/self/status text: `VmHWM:   123456 kB`."""
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024
