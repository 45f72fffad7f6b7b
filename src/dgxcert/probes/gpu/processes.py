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
            f"others use the GPUs of this machine ({'; '.join(uses)})",
            "Find out whose they are: nvidia-smi; ps -fp PID",
            "Stop them (a notebook's kernel, a server left running, a game, a page that draws in 3D) or wait for their "
            "end, then run this again.",
            "Look for containers that use it if no process is listed: docker ps; then stop those.",
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
    return f"GPU {index}: {least:.0%} busy, {_by(activity)}"


def _by(activity: nvml.Activity) -> str:
    """Who keeps a GPU busy without computing: graphics, the busiest first, or a process that the driver does not list.

    >>> _by(nvml.Activity(0.9, (), {}))
    'by no process that is listed, as one of another container or virtual machine'
    """
    pids = sorted({*activity.drawing, *activity.shares}, key=lambda pid: -activity.shares.get(pid, 0.0))
    named = [f"{describe(pid)}{f' {share:.0%}' if (share := activity.shares.get(pid)) else ''}" for pid in pids]
    if named:
        return f"with graphics: {', '.join(named)}"
    return "by no process that is listed, as one of another container or virtual machine"


def describe(pid: int) -> str:
    """`python (4711)`, or `process 4711` where /proc has no such process.

    >>> describe(2**22 + 1)  # above the largest process id of Linux
    'process 4194305'
    """
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()} ({pid})"
    except OSError:
        return f"process {pid}"
