"""GPU processes: who else uses the machine's GPUs, before the suite starts any work on them."""

import time
from pathlib import Path

from dgxcert.machine.identity import Machine
from dgxcert.machine.neighbours import is_busy
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml

LOOKS, BETWEEN_S = 4, 0.5
"""A GPU counts as busy if it is at every look: a desktop that draws a window is not, a game is."""


def read(machine: Machine) -> int:
    """The number of GPUs that nothing else uses.

    Raises Inconclusive without a GPU, and where something uses one, naming it: another user's notebook is no fault of
    the machine, but measurements beside it are unreliable. So are those beside graphics, which is no compute process.
    """
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    uses = [use for gpu in machine.gpus if (use := _use(gpu.index))]
    if uses:
        raise Inconclusive(
            f"other processes compute on this machine ({'; '.join(uses)})",
            "Find out whose they are: nvidia-smi; ps -fp PID",
            "Stop them (a notebook's kernel, a server left running, a game, a page that draws in 3D) or wait for their "
            "end, then run this again.",
        )
    return len(machine.gpus)


def _use(index: int) -> str:
    """How a GPU is used by others: `GPU 0: python (4711)`; empty where it is not."""
    if pids := nvml.compute_processes(index):
        return f"GPU {index}: {', '.join(map(describe, pids))}"
    least = 1.0
    for look in range(LOOKS):
        time.sleep(BETWEEN_S if look else 0.0)
        activity = nvml.activity(index)
        if activity.utilization is None or not is_busy(activity.utilization):
            return ""
        least = min(least, activity.utilization)
    drawing = ", ".join(map(describe, activity.drawing)) or "no process is listed"
    return f"GPU {index}: {least:.0%} busy, with graphics: {drawing}"


def describe(pid: int) -> str:
    """`python (4711)`, or `process 4711` where /proc has no such process.

    >>> describe(2**22 + 1)  # above the largest process id of Linux
    'process 4194305'
    """
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()} ({pid})"
    except OSError:
        return f"process {pid}"
