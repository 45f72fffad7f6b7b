"""Transfers of all GPUs: copies between pinned host memory beside each GPU and the GPU, alone and then all at once."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from dgxcert.judgement.benchmark_cases import TRANSFERS
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.probes.host import numa
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.distributed import launch, placement
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware import transfer
from dgxcert.workloads.hardware.bandwidth import MIB
from dgxcert.workloads.hardware.together import comparison, copies, neighbours
from dgxcert.workloads.hardware.together.comparison import Rates, Worst, worst
from dgxcert.workloads.hardware.together.copies import Plan
from dgxcert.workloads.hardware.together.turns import Rounds
from dgxcert.workloads.hardware.transfer import Transfer

MODULE = "hardware.together.transfer"
LIMIT_S = 180.0
AT_ONCE_S, ALONE_S, WARM_UP_S = 1.5, 0.3, 0.1
"""Seconds of transfers in each direction, with all GPUs at work, and of each alone."""
LARGEST_MIB = 256
"""A larger buffer is no faster, and every rank pins one."""


class Transferred(BaseModel):
    """What one rank noted: its rounds by direction, and where its buffers are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: dict[str, Rounds]
    nodes: tuple[int, ...] = ()
    """NUMA nodes of the processors that the rank ran on; none where the kernel does not report them."""
    beside: tuple[int, ...] = ()
    """NUMA nodes of the processors beside the GPU; none where the kernel does not report them."""
    known: int = 0
    """How many NUMA nodes the machine has."""


@dataclass(frozen=True)
class Transfers:
    """The transfers of all GPUs at once, in one direction after the other."""

    to_device: Rates
    to_host: Rates
    differing_of: tuple[int, ...]
    """Words of each GPU's last transfers that differ from what was sent."""
    places: tuple[str, ...]
    """Where the pinned buffer of each GPU was, for evidence."""

    @property
    def differing(self) -> Worst:
        """The most words of one GPU that differ from what was sent."""
        how = "every word of the last transfer in each direction, compared"
        return worst(self.to_device.devices, self.differing_of, how, highest=True)

    @property
    def place(self) -> str:
        """Where all pinned buffers were, for evidence."""
        gpus = zip(self.to_device.devices, self.places, strict=True)
        return ", ".join(f"GPU {gpu.index} {place}" for gpu, place in gpus)

    def keep(self, evidence: Recorder) -> None:
        """Record the rates themselves and the places of the buffers, which are compared with nothing."""
        source = "the processors that each rank was bound to while it pinned and filled its buffer"
        evidence.record("pinned host memory", self.place, source=source)
        self.to_device.keep(evidence, "to device")
        self.to_host.keep(evidence, "to host")


def measured(gpus: Sequence[Device], profile: Profile) -> Transfers:
    """The transfers of all GPUs of a machine, one process for each.

    Raises Inconclusive where the host lacks the memory, and as `comparison.compare` and `launch.run` do.
    """
    size_bytes = min(LARGEST_MIB, profile.workloads.transfer.size_mib) * MIB
    transfer.require_host(len(gpus) * size_bytes, profile)
    plan = Plan(
        size_bytes=size_bytes,
        peak=profile.peak("host_link"),
        alone_s=ALONE_S,
        warm_up_s=WARM_UP_S,
        at_once_s=AT_ONCE_S,
        ours=neighbours.ours(gpus),
    )
    answers = launch.run(MODULE, gpus, plan.model_dump(mode="json"), limit_s=LIMIT_S, backend="gloo")
    return judged(gpus, [Transferred.model_validate(answer) for answer in answers], plan)


def judged(gpus: Sequence[Device], noted: Sequence[Transferred], plan: Plan) -> Transfers:
    """The transfers by what the ranks noted."""
    to_device, to_host = (
        comparison.compare(gpus, [each.rounds[way] for each in noted], plan, "GB/s") for way in TRANSFERS
    )
    differing = tuple(sum(each.rounds[way].differing for way in TRANSFERS) for each in noted)
    return Transfers(to_device, to_host, differing, tuple(map(where, noted)))


def where(noted: Transferred) -> str:
    """The place of a rank's buffer, by the processors that wrote it.

    >>> where(Transferred(rounds={}, nodes=(1,), beside=(1,), known=2))
    'NUMA node 1, beside it'
    >>> where(Transferred(rounds={}, nodes=(0, 1), known=2))
    'NUMA node 0 or 1; the kernel does not report which is beside it'
    """
    if not noted.nodes:
        return "an unknown place: the kernel reports no NUMA nodes"
    place = f"NUMA node {' or '.join(map(str, noted.nodes))}"
    if noted.known == 1:
        return f"{place}, the only one"
    if not noted.beside:
        return f"{place}; the kernel does not report which is beside it"
    if set(noted.nodes) <= set(noted.beside):
        return f"{place}, beside it"
    return f"{place}, where this process may run, and not {' or '.join(map(str, noted.beside))}, which is beside it"


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What one rank does: transfers in each direction alone, then with all others. It returns a `Transferred`."""
    plan = Plan.model_validate(settings)
    rounds = {
        way: copies.rounds(rank, plan, Transfer(rank.device, plan.size_bytes, plan.peak, way)) for way in TRANSFERS
    }
    beside = placement.beside(rank.device.index) if rank.device.kind == "cuda" else ()
    noted = Transferred(
        rounds=rounds,
        nodes=numa.nodes_of(os.sched_getaffinity(0)),
        beside=numa.nodes_of(beside),
        known=len(numa.nodes()),
    )
    return noted.model_dump(mode="json")
