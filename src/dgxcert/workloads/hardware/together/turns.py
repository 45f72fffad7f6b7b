"""Turns: the rounds of one rank, first on its device alone, one device after the other, then on all devices at once.

Times are of the monotonic clock, which counts alike in all processes of a machine: so the overlap of ranks can be
proved from what each of them noted.
"""

import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from dgxcert.judgement.limit import Bound
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.distributed import phase
from dgxcert.workloads.distributed.rank import Rank

LEAST_ROUNDS = 3
"""No more rounds than these do not say how fast a device is."""


class Stretch(BaseModel):
    """The rounds of one device in a stretch of time: when the first began, and when each of them ended, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    began: float
    ended: tuple[float, ...]

    @property
    def end(self) -> float:
        """When the last round ended."""
        return self.ended[-1] if self.ended else self.began

    def rounds_per_s(self, device: Device, since: float, until: float) -> float:
        """Rounds per second between two times, by the first and the last round that ended there.

        Raises Inconclusive, naming the device, for no more than LEAST_ROUNDS.

        >>> gpu = Device("cuda", 0, "NVIDIA H200")
        >>> Stretch(began=0.0, ended=(0.5, 1.0, 1.5, 2.0, 9.0)).rounds_per_s(gpu, 0.4, 2.5)
        2.0
        """
        there = [ended for ended in self.ended if since <= ended <= until]
        if len(there) <= LEAST_ROUNDS or there[-1] <= there[0]:
            raise Inconclusive(
                f"only {len(there)} rounds of GPU {device.index} ended within {until - since:.1f} s, more than "
                f"{LEAST_ROUNDS} are needed",
                "Run this again with nothing else running: top",
            )
        return (len(there) - 1) / (there[-1] - there[0])


class Rounds(BaseModel):
    """What one rank noted: its rounds alone and at once, and the work of one round in the unit of the rate."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    alone: Stretch
    at_once: Stretch
    amount: float
    differing: int = 0
    """Values of all compared results that differ in any bit from what they must be."""
    disturbed: str = ""
    """The other processes on the GPU; empty without any."""
    unknown: tuple[str, ...] = ()
    """What to do where it is not known whether others used the GPU, which `disturbed` then says."""


class Plan(BaseModel):
    """What every rank is told: the physical peak of its rate, and the seconds of each stretch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    peak: Bound
    alone_s: float
    warm_up_s: float
    at_once_s: float
    ours: tuple[int, ...]
    """Processes of this run on each GPU: the rank, and where it is so the process that started the ranks."""


def alone(rank: Rank, plan: Plan, run: Callable[[], None]) -> Stretch:
    """The rounds of this rank while all others wait; each rank has its turn. `run` returns when the device is done."""
    stretch = Stretch(began=0.0, ended=())
    for turn in range(rank.size):
        phase.enter(f"the turn of GPU {rank.devices[turn].index} alone")
        wait_for_all()
        if turn == rank.index:
            _timed(run, plan.warm_up_s)
            stretch = _timed(run, plan.alone_s)
    return stretch


def at_once(plan: Plan, run: Callable[[], None]) -> Stretch:
    """The rounds of this rank while all others work, too."""
    phase.enter("work of all GPUs at once")
    wait_for_all()
    return _timed(run, plan.at_once_s)


def wait_for_all() -> None:
    """Return when every rank has called this. A rank that died leaves it to the launcher to end the others."""
    import torch

    torch.distributed.barrier()


def _timed(run: Callable[[], None], seconds: float) -> Stretch:
    """Rounds for so many seconds, and more than LEAST_ROUNDS."""
    began = time.monotonic()
    ended: list[float] = []
    while len(ended) <= LEAST_ROUNDS or ended[-1] < began + seconds:
        run()
        ended.append(time.monotonic())
    return Stretch(began=began, ended=tuple(ended))
