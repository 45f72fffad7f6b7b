"""A pytest plugin: the silicon of a simulated GPU. The CPU computes, and the simulated driver reports load.

Only what torch would read from a real GPU is replaced; checks, workloads, sampler and nvidia-ml-py are the real ones.
"""

import functools
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from simulated import gpu_clock

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
        """Let a round take its time, and tell the driver that there is load on this GPU, and for how long."""
        _tell(self.index, gpu_clock.of(self.index).advance(ROUND_S / _speed(self.index)))

    def make_current(self) -> None:
        """torch has no GPU to bind."""

    def release(self) -> None:
        """torch holds no memory on a GPU."""


@dataclass(frozen=True)
class OneGpu(SimulatedGpu):
    """A GPU that a requirement about one GPU loads: what the host's sensors show of a load is shown from then on."""

    def wait(self) -> None:
        Path(f"{os.environ['SIMULATED_WORK']}{ONE_WORKED}").touch()
        super().wait()


ONE_WORKED = ".one"
"""The end of the name of a file that is there once a GPU was loaded by a requirement about one."""
ROUND_S = 0.01
"""A round of work takes so long, however fast the CPU is, which other machines need at the same time."""
_worked: dict[int, tuple[float, float, float]] = {}
"""By GPU: seconds of load in this process, those of the processes before it, and when it was told last."""


def _speed(index: int) -> float:
    """How fast a GPU is beside a healthy one, as the table of the driver has it for this moment."""
    speeds = {key: float(value) for key, value in _speeds() if key.rstrip("*+") == str(index)}
    together = speeds.get(f"{index}+") if f"{index}+" in speeds and _all_work() else None
    return together or speeds.get(f"{index}*") or speeds.get(str(index), 1.0)


@functools.cache
def _speeds() -> tuple[tuple[str, str], ...]:
    lines = Path(os.environ["SIMULATED_DRIVER"]).read_text(encoding="utf-8").splitlines()
    return tuple((gpu, value) for gpu, field, value in (line.split(" ", 2) for line in lines) if field == "speed")


def _all_work() -> bool:
    lines = Path(os.environ["SIMULATED_DRIVER"]).read_text(encoding="utf-8").splitlines()
    gpus = next(int(line.split()[2]) for line in lines if line.startswith("- count "))
    return all(Path(f"{os.environ['SIMULATED_WORK']}.{index}{gpu_clock.TOGETHER}").exists() for index in range(gpus))


def _tell(index: int, seconds: float | None) -> None:
    """Write the process id and the seconds of load of a GPU so far: in simulated time, in real time, and ever.

    A round adds `seconds`; without them the time since the last one, or that of a round alone after a pause.
    """
    path = Path(f"{os.environ['SIMULATED_WORK']}.{index}")
    now = time.monotonic()
    worked, before, last = _worked.get(index) or (0.0, _worked_before(path), now)
    since = now - last if now - last < gpu_clock.PAUSE_S else 0.0
    worked += max(ROUND_S, since) if seconds is None else seconds
    _worked[index] = worked, before, now
    new = path.with_name(f"{path.name}.new{os.getpid()}-{threading.get_ident()}")
    new.write_text(f"{os.getpid()} {worked * SPEED_UP} {worked} {before + worked}", encoding="ascii")
    new.rename(path)


def _worked_before(path: Path) -> float:
    return float(path.read_text(encoding="ascii").split()[-1]) if path.exists() else 0.0


def _gpu(index: int, machine: Machine, profile: Profile, kind: type[SimulatedGpu] = SimulatedGpu) -> SimulatedGpu:
    gpus = {listed.index: listed for listed in machine.gpus}
    if index not in gpus:
        raise Inconclusive(f"there is no GPU {index} to measure", "See GPU-PRESENT first.")
    return kind("cuda", index, gpus[index].product, profile.gpu.memory, profile.memory.margin.value)


def _may_reach(one: int, other: int) -> bool:
    """What CUDA says of a pair of GPUs: whether the driver lets the first read the other's memory."""
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in (one, other)]
    return bool(pynvml.nvmlDeviceGetP2PStatus(*handles, 0) == pynvml.NVML_P2P_STATUS_OK)


WITH_GPUS = {"gpu", "gpus", "device", "devices"}
"""Fixtures of requirements that may ask torch about a GPU; for others it is not imported, which takes 3 s of a core."""


@pytest.fixture(autouse=True)
def _cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch asks CUDA about GPUs that are not there."""
    if not WITH_GPUS & set(request.fixturenames):
        return
    import torch

    monkeypatch.setattr(torch.cuda, "can_device_access_peer", _may_reach)


@pytest.fixture
def gpu(gpu_index: int, machine: Machine, profile: Profile) -> SimulatedGpu:
    """The `gpu` fixture of dgxcert, with a simulated GPU. Raises Inconclusive where the driver lists none."""
    return _gpu(gpu_index, machine, profile, OneGpu)


@pytest.fixture
def gpus(request: pytest.FixtureRequest, machine: Machine, profile: Profile) -> tuple[SimulatedGpu, ...]:
    """The `gpus` fixture of dgxcert, as above. Raises Inconclusive where a GPU that the profile expects is missing."""
    return tuple(_gpu(index, machine, profile) for index in request.config.stash[plugin.SESSION].gpus)


@pytest.fixture
def devices(gpus: tuple[SimulatedGpu, ...]) -> tuple[SimulatedGpu, ...]:
    """The devices that work together: all GPUs."""
    return gpus
