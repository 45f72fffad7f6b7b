"""A pytest plugin: the silicon of a simulated GPU. The CPU computes, and the simulated driver reports load.

Only what torch would read from a real GPU is replaced; checks, workloads, sampler and nvidia-ml-py are the real ones.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine, MemoryKind
from dgxcert.profiles.profile import Profile

SPEED_UP = 20.0
"""Simulated seconds per second of load: in real time the loads of all machines would take an hour."""


@dataclass(frozen=True)
class SimulatedGpu(Device):
    """A GPU as the driver lists it, whose work is done by the CPU."""

    @property
    def name(self) -> str:
        return "cpu"

    @property
    def shares_system_memory(self) -> bool:
        return self.memory is MemoryKind.UNIFIED

    def cuda_free_bytes(self) -> int:
        return int(float(os.environ["SIMULATED_CUDA_FREE_GIB"]) * 1024**3)

    def wait(self) -> None:
        """Tell the driver that there is load, and for how long."""
        time.sleep(ROUND_S)
        _tell(Path(os.environ["SIMULATED_WORK"]))

    def release(self) -> None:
        """torch holds no memory on a GPU."""


ROUND_S = 0.01
"""A round of work sleeps for so long: the CPU is needed by the other machines that are judged at the same time."""
PAUSE_S = 0.2
"""After a longer pause between two rounds the GPU counts as idle in between."""
_worked_s = 0.0
_last = 0.0


def _tell(path: Path) -> None:
    """Write the process id and the seconds of load so far, in simulated and in real time."""
    global _worked_s, _last
    now = time.monotonic()
    _worked_s += now - _last if now - _last < PAUSE_S else 0.0
    _last = now
    new = path.with_suffix(".new")
    new.write_text(f"{os.getpid()} {_worked_s * SPEED_UP} {_worked_s}", encoding="ascii")
    new.rename(path)


@pytest.fixture
def gpu(gpu_index: int, machine: Machine, profile: Profile) -> SimulatedGpu:
    """The `gpu` fixture of dgxcert, with a simulated GPU. Raises Inconclusive where the driver lists none."""
    from dgxcert.outcome import Inconclusive

    gpus = {listed.index: listed for listed in machine.gpus}
    if gpu_index not in gpus:
        raise Inconclusive(f"there is no GPU {gpu_index} to measure", "See GPU-PRESENT first.")
    return SimulatedGpu("cuda", gpu_index, gpus[gpu_index].product, profile.gpu.memory, profile.memory.margin.value)
