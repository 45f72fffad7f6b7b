"""GPU processes: the other compute processes on the machine's GPUs, before the suite starts any."""

from pathlib import Path

from dgxcert.machine.identity import Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml


def read(machine: Machine) -> int:
    """The number of GPUs without a compute process.

    Raises Inconclusive without a GPU, and where there is a process, naming it: another user's notebook is no fault of
    the machine, but measurements beside it are unreliable.
    """
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    busy = {gpu.index: nvml.compute_processes(gpu.index) for gpu in machine.gpus}
    others = [f"GPU {index}: {', '.join(map(describe, pids))}" for index, pids in busy.items() if pids]
    if others:
        raise Inconclusive(
            f"other processes compute on this machine ({'; '.join(others)})",
            "Find out whose they are: nvidia-smi; ps -fp PID",
            "Stop them (a notebook's kernel, a server left running) or wait for their end, then run this again.",
        )
    return len(busy)


def describe(pid: int) -> str:
    """`python (4711)`, or `process 4711` where /proc has no such process.

    >>> describe(2**22 + 1)  # above the largest process id of Linux
    'process 4194305'
    """
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()} ({pid})"
    except OSError:
        return f"process {pid}"
