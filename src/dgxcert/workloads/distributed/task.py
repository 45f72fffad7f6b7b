"""Task: what the launcher hands to its ranks, and the files in a private folder by which they answer."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.workloads.distributed.rank import Rank

LIBRARY_PATIENCE_S = 60.0
"""How much longer torch waits for another rank than the launcher does, which names the one that is missing."""


@dataclass(frozen=True)
class Job:
    """What all ranks do together: `work(rank, settings)` of a module of `workloads`."""

    module: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Meeting:
    """Where ranks on several machines meet, one on each, and which of them is this machine's."""

    address: str
    """Of the machine of rank 0, on the network that joins them, where torch's store listens."""
    port: int
    hosts: tuple[str, ...]
    """The machines in the order of ranks, as reports call them."""
    mine: int
    own_address: str


@dataclass(frozen=True)
class Task:
    """Jobs for several ranks, done one after the other, each with an answer of its own."""

    jobs: tuple[Job, ...]
    devices: tuple[Device, ...]
    backend: str
    limit_s: float
    meeting: Meeting | None = None
    """None where all ranks are on this machine."""

    def rank(self, index: int) -> Rank:
        """One of its ranks."""
        return Rank(index, self.devices, self.meeting.hosts if self.meeting else ())

    @property
    def here(self) -> tuple[Rank, ...]:
        """The ranks that this machine starts."""
        indexes = range(len(self.devices)) if self.meeting is None else (self.meeting.mine,)
        return tuple(map(self.rank, indexes))

    def write(self, folder: Path) -> None:
        """Keep it in the folder of its ranks."""
        (folder / "task.json").write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """The task of a folder."""
        kept = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        jobs = tuple(Job(**job) for job in kept["jobs"])
        devices = tuple(_device(device) for device in kept["devices"])
        return cls(**{**kept, "jobs": jobs, "devices": devices, "meeting": _meeting(kept["meeting"])})


@dataclass(frozen=True)
class RankFiles:
    """The files of one rank."""

    folder: Path
    index: int

    @property
    def phases(self) -> Path:
        """What it was at."""
        return self.folder / f"rank-{self.index}.phases"

    @property
    def done(self) -> Path:
        """What each job has returned, a line for each."""
        return self.folder / f"rank-{self.index}.done"

    @property
    def answer(self) -> Path:
        """How its work ended: that all jobs have returned, or what it raised."""
        return self.folder / f"rank-{self.index}.json"

    @property
    def stack(self) -> Path:
        """Where its Python code was when it was asked."""
        return self.folder / f"rank-{self.index}.stack"

    @property
    def nccl(self) -> Path:
        """What NCCL says."""
        return self.folder / f"rank-{self.index}.nccl"

    def output(self, stream: str) -> str:
        """What it printed to `stdout` or `stderr`, which torch's launcher redirects."""
        found = sorted(self.folder.glob(f"logs/*/attempt_0/{self.index}/{stream}.log"))
        return found[-1].read_text(encoding="utf-8", errors="replace") if found else ""


def _meeting(kept: dict[str, Any] | None) -> Meeting | None:
    return Meeting(**{**kept, "hosts": tuple(kept["hosts"])}) if kept else None


def _device(kept: dict[str, Any]) -> Device:
    return Device(**{**kept, "memory": MemoryKind(kept["memory"])})
