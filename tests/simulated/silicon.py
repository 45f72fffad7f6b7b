"""A pytest plugin: the silicon of a simulated GPU. The CPU computes, and the simulated driver reports load.

Only what torch would read from a real GPU is replaced; checks, workloads, sampler and nvidia-ml-py are the real ones.
"""

import bisect
import contextlib
import dataclasses
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine, MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import Samples
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
        _keep_pace(self.index)
        _tell(self.index)

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
PAUSE_S = 0.2
"""After a longer pause between two rounds the GPU counts as idle in between."""
_worked: dict[int, tuple[float, float, float]] = {}
"""By GPU: seconds of load in this process, those of the processes before it, and when it was told last."""


_next: dict[int, float] = {}
"""By GPU: when its last round ended, by a clock that a busy computer does not hold up."""
_timing = False
TOGETHER = ".together"
"""The end of the name of a file that is new while a rank of several loads its GPU."""


def _keep_pace(index: int) -> None:
    now = time.monotonic()
    last = _next.get(index, now)
    _next[index] = (last if _timing or now - last < PAUSE_S else now) + ROUND_S / _speed(index)
    time.sleep(max(0.0, _next[index] - now))
    if _timing:
        _course.append((time.monotonic(), _next[index]))


_course: list[tuple[float, float]] = []
"""What the clock of this computer and that of the GPU read at the start of the timed rounds and after each of them."""


def time_rounds(turns: Any, load: Any, index: int) -> None:
    """Have `turns` and `load` time a rank by its GPU's clock, which runs on with its rounds alone.

    Eight ranks on two cores begin and end each round late, now one and now another, and are sampled meanwhile; how fast
    a GPU is, its description says. All ranks begin when the first of them does, as on cores of their own.
    """
    timed, wait, sampling = turns._timed, turns.wait_for_all, load.sampling
    began = [0.0]

    def wait_for_all() -> None:
        wait()
        began[0] = _of_the_first(time.monotonic())

    def from_now(*given: Any) -> Any:
        global _timing
        _next[index], _timing = began[0], True
        _course[:] = [(time.monotonic(), began[0])]
        stretch = timed(*given)
        began[0] = _next[index]
        return stretch

    @contextlib.contextmanager
    def sampled(*given: Any) -> Iterator[Callable[[], Samples]]:
        with sampling(*given) as taken:
            yield lambda: _by_the_gpu(taken())

    turns._timed, turns.wait_for_all, load.sampling = from_now, wait_for_all, sampled
    turns.time = SimpleNamespace(monotonic=lambda: _next[index])


def _of_the_first(now: float) -> float:
    """The time of the first rank."""
    import torch

    time_s = torch.tensor([now], dtype=torch.float64)
    torch.distributed.broadcast(time_s, src=0)
    return float(time_s)


def _by_the_gpu(samples: Samples) -> Samples:
    """The samples, with the GPU's clock in place of this computer's."""
    real, simulated = zip(*_course, strict=True)

    def moment(t: float) -> float:
        at = min(max(bisect.bisect(real, t), 1), len(real) - 1)
        if t <= real[0] or t >= real[-1]:
            nearest = 0 if t <= real[0] else -1
            return float(simulated[nearest] + t - real[nearest])
        share = (t - real[at - 1]) / ((real[at] - real[at - 1]) or 1.0)
        return float(simulated[at - 1] + share * (simulated[at] - simulated[at - 1]))

    readings = tuple({**one, "t": moment(one["t"])} for one in samples.readings)
    return dataclasses.replace(samples, readings=readings)


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
    told = [Path(f"{os.environ['SIMULATED_WORK']}.{index}{TOGETHER}") for index in range(gpus)]
    return all(path.exists() and time.time() - path.stat().st_mtime < PAUSE_S for path in told)


def _tell(index: int) -> None:
    """Write the process id and the seconds of load of a GPU so far: in simulated time, in real time, and ever."""
    path = Path(f"{os.environ['SIMULATED_WORK']}.{index}")
    now = time.monotonic()
    worked, before, last = _worked.get(index) or (0.0, _worked_before(path), now)
    worked += now - last if now - last < PAUSE_S else 0.0
    _worked[index] = worked, before, now
    if _timing:
        Path(f"{path}{TOGETHER}").touch()
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


@pytest.fixture(autouse=True)
def _cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch asks CUDA about GPUs that are not there."""
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
