"""GPU processes: who computes on the machine's GPUs before the suite does."""

from pathlib import Path

from dgxcert.machine.identity import Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml


def read(machine: Machine) -> int:
    """On how many GPUs nobody computes, out of all that the driver lists.

    Raises Inconclusive without a GPU, and where somebody computes, naming whom: an idle notebook is no fault of the
    machine, but nothing that is measured beside it can be believed.
    """
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU on which anybody could compute", "See GPU-PRESENT first.")
    busy = {gpu.index: nvml.compute_processes(gpu.index) for gpu in machine.gpus}
    others = [f"GPU {index}: {', '.join(map(name, pids))}" for index, pids in busy.items() if pids]
    if others:
        raise Inconclusive(
            f"somebody else computes on this machine ({'; '.join(others)})",
            "Look who: nvidia-smi; ps -fp PID",
            "End it (a notebook's kernel, a server left running), or wait for it, then run this again.",
        )
    return len(busy)


def name(pid: int) -> str:
    """`python (4711)`, or the number alone where the kernel shows no such process."""
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8', errors='replace').strip()} ({pid})"
    except OSError:
        return f"process {pid}"
