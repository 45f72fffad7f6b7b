"""A pytest plugin: the silicon of a simulated GPU. Work is computed by the CPU, and the simulated driver sees it.

Only what torch would ask of a real GPU is answered here; checks, workloads, sampler and nvidia-ml-py are the real ones.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.profiles.profile import Profile

SPEED_UP = 20.0
"""A second of a simulated GPU's work stands for so many, or the loads of all machines would take an hour."""


@dataclass(frozen=True)
class SimulatedGpu(Device):
    """A GPU as the driver lists it, whose work is done by the CPU."""

    @property
    def name(self) -> str:
        return "cpu"

    @property
    def shares_system_memory(self) -> bool:
        return self.unified_memory

    def cuda_free_bytes(self) -> int:
        return int(float(os.environ["SIMULATED_CUDA_FREE_GIB"]) * 1024**3)

    def wait(self) -> None:
        """The work that was asked for is done: tell the driver that somebody works, and since when."""
        time.sleep(ROUND_S)
        _tell(Path(os.environ["SIMULATED_WORK"]))

    def release(self) -> None:
        """Nothing of torch's is held on a GPU."""


ROUND_S = 0.01
"""How long a round takes, in which the CPU is free for the other machines that are judged at the same time."""
PAUSE_S = 0.2
"""Longer than this between two pieces of work, and the GPU has rested in between."""
_worked_s = 0.0
_last = 0.0


def _tell(path: Path) -> None:
    """Write down who works and for how long by now, in the GPU's time and in ours."""
    global _worked_s, _last
    now = time.monotonic()
    _worked_s += now - _last if now - _last < PAUSE_S else 0.0
    _last = now
    new = path.with_suffix(".new")
    new.write_text(f"{os.getpid()} {_worked_s * SPEED_UP} {_worked_s}", encoding="ascii")
    new.rename(path)


@pytest.fixture
def gpu(gpu_index: int, machine: Machine, profile: Profile) -> SimulatedGpu:
    """In place of dgxcert's own fixture, which it asks first: without a GPU there is none here either."""
    from dgxcert.outcome import Inconclusive

    found = {each.index: each for each in machine.gpus}
    if gpu_index not in found:
        raise Inconclusive(f"there is no GPU {gpu_index} to measure", "See GPU-PRESENT first.")
    unified, margin = profile.gpu.unified_memory, profile.memory.margin.value
    return SimulatedGpu("cuda", gpu_index, found[gpu_index].product, unified, margin)
