"""Copies on all GPUs: those of one rank, alone and then with all others, and the last of them compared."""

from typing import Protocol, SupportsInt

from dgxcert.judgement.rounds import Work
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.together import neighbours, turns
from dgxcert.workloads.hardware.together.turns import Rounds


class Copies(Protocol):
    """Copies of a buffer, one in each round."""

    work: Work

    def run(self) -> None:
        """One copy; returns when the device is done."""

    def poison(self) -> None:
        """Overwrite the target, so that a copy that does nothing is detected."""

    def differing(self) -> SupportsInt:
        """How many words of the last copy differ."""


class Plan(turns.Plan):
    """What every rank is told, with the size of its buffers."""

    size_bytes: int


def rounds(rank: Rank, plan: Plan, copies: Copies) -> Rounds:
    """The rounds of one rank."""
    alone = turns.alone(rank, plan, copies.run)
    copies.poison()
    rank.device.wait()
    at_once = turns.at_once(plan, copies.run)
    disturbed, unknown = neighbours.seen(rank.device, plan.ours[rank.index])
    return Rounds(
        alone=alone,
        at_once=at_once,
        amount=copies.work.amount,
        differing=int(copies.differing()),
        disturbed=disturbed,
        unknown=unknown,
    )
