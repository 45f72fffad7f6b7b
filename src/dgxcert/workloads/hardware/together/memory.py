"""Memory of all GPUs: copies within each GPU's memory, alone and then on all GPUs at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.bandwidth import MIB, Copy
from dgxcert.workloads.hardware.together import comparison, copies, neighbours
from dgxcert.workloads.hardware.together.comparison import Rates, Worst, worst
from dgxcert.workloads.hardware.together.copies import Plan
from dgxcert.workloads.hardware.together.turns import Rounds

MODULE = "hardware.together.memory"
LIMIT_S = 180.0
AT_ONCE_S, ALONE_S, WARM_UP_S = 2.0, 0.3, 0.1
"""Seconds of copies with all GPUs at work, and of each alone: memory reaches its speed within milliseconds."""


@dataclass(frozen=True)
class Memory:
    """The memory bandwidth of all GPUs at once, and what the last copies were compared with."""

    rates: Rates
    differing_of: tuple[int, ...]
    """Words of each GPU's last copy that differ from the original."""

    @property
    def differing(self) -> Worst:
        """The most words of one GPU that differ from the original."""
        how = "every word of the last copy, compared"
        return worst(self.rates.devices, self.differing_of, how, highest=True)

    def keep(self, evidence: Recorder) -> None:
        """Record the rates themselves, which are compared with nothing."""
        self.rates.keep(evidence, "copy")


def measured(gpus: Sequence[Device], profile: Profile) -> Memory:
    """The memory bandwidth of all GPUs of a machine, one process for each.

    Raises Inconclusive as `comparison.compare` and `launch.run` do.
    """
    size_bytes, peak = profile.workloads.bandwidth.size_mib * MIB, profile.peak("memory_bandwidth")
    plan = Plan(
        size_bytes=size_bytes,
        peak=peak,
        alone_s=ALONE_S,
        warm_up_s=WARM_UP_S,
        at_once_s=AT_ONCE_S,
        ours=neighbours.ours(gpus),
    )
    answers = launch.run(MODULE, gpus, plan.model_dump(mode="json"), limit_s=LIMIT_S, backend="gloo")
    return judged(gpus, [Rounds.model_validate(answer) for answer in answers], plan)


def judged(gpus: Sequence[Device], noted: Sequence[Rounds], plan: Plan) -> Memory:
    """The bandwidth by what the ranks noted."""
    rates = comparison.compare(gpus, noted, plan, "GB/s")
    return Memory(rates, tuple(each.differing for each in noted))


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What one rank does: copies alone, then with all others, and compares the last one. It returns `Rounds`."""
    plan = Plan.model_validate(settings)
    return copies.rounds(rank, plan, Copy(rank.device, plan.size_bytes, plan.peak)).model_dump(mode="json")
