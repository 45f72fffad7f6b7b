"""Comparison: what ranks computed together, beside each other and beside one device that trained on all rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.training.data_parallel import shards
from dgxcert.workloads.training.data_parallel.differing import Differing, between
from dgxcert.workloads.training.data_parallel.shards import SIZES, Sizes
from dgxcert.workloads.training.gradients import Agreement

MODULE = "training.data_parallel.small_steps"
LIMIT_S = 120.0
"""Starting a process with CUDA takes up to half a minute on a busy machine, the steps a second."""
LOSS = Limit(
    name="tolerance in fp32: losses of ranks",
    max=1e-5,
    unit="relative",
    source="3e-7 measured, another order of summation; rows of another rank change a loss by 1e-3 and more",
)
NOT_FINITE = 1e300
"""The difference of a loss that is no number, which no evidence can hold."""


@dataclass(frozen=True)
class Apart:
    """A relative difference of two losses, and the step and the rank of it."""

    difference: float
    where: str


@dataclass(frozen=True)
class Comparison:
    """What was compared; each part names the rank that is wrong."""

    foreign_rows: Differing
    """Ranks that trained on other rows than their own."""
    start: Differing
    """Trained weights before the first step, which DistributedDataParallel spreads from the first rank."""
    first_loss: Apart
    """A rank's loss before any update, beside that of its rows on one device: the largest difference."""
    gradients: Differing
    exact: Agreement
    """The gradients of each step, compared with those of one device on the rows of all ranks."""
    with_unused: tuple[str, ...]
    """Ranks on which the parameter that no rank uses has a gradient."""
    end: Differing
    update: Agreement
    """What all steps together changed, compared with one device."""
    later_loss: Apart
    steps: int
    accumulated: int


def run(devices: Sequence[Device]) -> Comparison:
    """Train on all devices together and on the first one alone; raises what `launch.run` raises."""
    sizes = SIZES[devices[0].kind]
    answers = launch.run(MODULE, devices, asdict(sizes), limit_s=LIMIT_S)
    return of(answers, [Rank(index, tuple(devices)).name for index in range(len(devices))], sizes)


def of(answers: Sequence[Mapping[str, Any]], names: Sequence[str], sizes: Sizes) -> Comparison:
    """The comparison of what `small_steps.work` returned on each rank."""
    alone = answers[0]["alone"]
    first, *later = [_apart(step, answers, of_ranks, names) for step, of_ranks in enumerate(alone["losses"])]
    return Comparison(
        foreign_rows=_foreign(answers, names, sizes),
        start=between([answer["start"] for answer in answers], names),
        first_loss=first,
        gradients=between([answer["gradients"] for answer in answers], names),
        exact=Agreement(**alone["gradients"]),
        with_unused=tuple(name for name, answer in zip(names, answers, strict=True) if answer["unused"]),
        end=between([answer["end"] for answer in answers], names),
        update=Agreement(**alone["update"]),
        later_loss=max(later, key=lambda apart: apart.difference),
        steps=sizes.steps,
        accumulated=sizes.accumulated,
    )


def _foreign(answers: Sequence[Mapping[str, Any]], names: Sequence[str], sizes: Sizes) -> Differing:
    """The ranks whose rows are not their own, and whose they are."""
    own = [shards.expected_digests(sizes, rank) for rank in range(len(names))]
    owner = {digest: name for name, digests in zip(names, own, strict=True) for digest in digests}
    wrong = []
    for name, answer, wanted in zip(names, answers, own, strict=True):
        others = [digest for digest, mine in zip(answer["data"], wanted, strict=True) if digest != mine]
        if others:
            wrong.append(f"{name} trained on rows of {owner.get(others[0], 'no rank')}")
    return Differing(len(wrong), len(names), "; ".join(wrong) or "SHA-256 of the rows of each rank")


def _apart(step: int, answers: Sequence[Mapping[str, Any]], alone: Sequence[float], names: Sequence[str]) -> Apart:
    """The loss of a step that differs most from that of one device."""
    differences = [
        Apart(_difference(answer["losses"][step], wanted), f"step {step + 1} on {name}")
        for name, answer, wanted in zip(names, answers, alone, strict=True)
    ]
    return max(differences, key=lambda apart: apart.difference)


def _difference(loss: float, wanted: float) -> float:
    """The relative difference of two losses, NOT_FINITE where one is no number: a maximum must not overlook it."""
    difference = abs(loss - wanted) / abs(wanted)
    return difference if math.isfinite(difference) else NOT_FINITE
