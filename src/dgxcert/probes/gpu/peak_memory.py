"""Peak memory: the most memory that this process has used on a device since the last reset."""

from pathlib import Path

from dgxcert.machine.device import Device

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""proc(5), clear_refs: sets the peak resident set size to the current one."""


def reset(device: Device) -> None:
    """Reset the peak. Where /proc does not allow that, the peak stays that since the start of the process."""
    if device.kind == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device.index)
        return
    try:
        CLEAR.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return


def read(device: Device) -> int:
    """Peak bytes that torch has allocated on a GPU, or peak resident bytes on the CPU; 0 where it is not reported."""
    if device.kind == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device.index))
    return parse(STATUS.read_text(encoding="ascii"))


def parse(status: str) -> int:
    """The peak resident set size (VmHWM) in /proc/self/status, in bytes.

    >>> parse("Name:\\tpython\\nVmHWM:\\t  123456 kB\\n")
    126418944
    """
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024
