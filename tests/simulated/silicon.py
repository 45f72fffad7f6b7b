"""A pytest plugin: the silicon of a simulated GPU. The CPU computes, and the simulated driver reports load.

Only what torch would read from a real GPU is replaced; checks, workloads, sampler and nvidia-ml-py are the real ones.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine, MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.runner import plugin

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
        """Tell the driver that there is load on this GPU, and for how long."""
        time.sleep(ROUND_S)
        _tell(self.index)

    def release(self) -> None:
        """torch holds no memory on a GPU."""


ROUND_S = 0.01
"""A round of work sleeps for so long: the CPU is needed by the other machines that are judged at the same time."""
PAUSE_S = 0.2
"""After a longer pause between two rounds the GPU counts as idle in between."""
_worked: dict[int, tuple[float, float, float]] = {}
"""By GPU: seconds of load in this process, those of the processes before it, and when it was told last."""


def _tell(index: int) -> None:
    """Write the process id and the seconds of load of a GPU so far: in simulated time, in real time, and ever."""
    path = Path(f"{os.environ['SIMULATED_WORK']}.{index}")
    now = time.monotonic()
    worked, before, last = _worked.get(index) or (0.0, _worked_before(path), now)
    worked += now - last if now - last < PAUSE_S else 0.0
    _worked[index] = worked, before, now
    new = path.with_name(f"{path.name}.new{os.getpid()}-{threading.get_ident()}")
    new.write_text(f"{os.getpid()} {worked * SPEED_UP} {worked} {before + worked}", encoding="ascii")
    new.rename(path)


def _worked_before(path: Path) -> float:
    return float(path.read_text(encoding="ascii").split()[-1]) if path.exists() else 0.0


def _gpu(index: int, machine: Machine, profile: Profile) -> SimulatedGpu:
    gpus = {listed.index: listed for listed in machine.gpus}
    if index not in gpus:
        raise Inconclusive(f"there is no GPU {index} to measure", "See GPU-PRESENT first.")
    return SimulatedGpu("cuda", index, gpus[index].product, profile.gpu.memory, profile.memory.margin.value)


@pytest.fixture
def gpu(gpu_index: int, machine: Machine, profile: Profile) -> SimulatedGpu:
    """The `gpu` fixture of dgxcert, with a simulated GPU. Raises Inconclusive where the driver lists none."""
    return _gpu(gpu_index, machine, profile)


@pytest.fixture
def gpus(request: pytest.FixtureRequest, machine: Machine, profile: Profile) -> tuple[SimulatedGpu, ...]:
    """The `gpus` fixture of dgxcert, as above. Raises Inconclusive where a GPU that the profile expects is missing."""
    return tuple(_gpu(index, machine, profile) for index in request.config.stash[plugin.SESSION].gpus)


@pytest.fixture
def devices(gpus: tuple[SimulatedGpu, ...]) -> tuple[SimulatedGpu, ...]:
    """The devices that work together: all GPUs."""
    return gpus
