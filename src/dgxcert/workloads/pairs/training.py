"""Training of a pair: DistributedDataParallel over both ends computes what one device would, with the same weights.

Runs on each rank: first a small model whose every gradient is compared, then LoRA steps of the profile's size, alone
and together. Each rank then has what both noted, and both compare the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import Wrong
from dgxcert.record.room.pair_answer import Training
from dgxcert.workloads.distributed import exchange, phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.training import gradients
from dgxcert.workloads.training.data_parallel import comparison, lora_steps, small_steps
from dgxcert.workloads.training.data_parallel.comparison import NOT_FINITE, Comparison
from dgxcert.workloads.training.data_parallel.noted import Noted, Plan
from dgxcert.workloads.training.data_parallel.scaling import Scaling
from dgxcert.workloads.training.data_parallel.shards import SIZES


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train together; returns a `Training` of `record.room.pair_answer`."""
    phase.enter("training a small model together")
    sizes = SIZES[rank.device.kind]
    small = exchange.gathered(rank, small_steps.work(rank, vars(sizes)))
    plan = Plan.model_validate(settings["plan"])
    noted = lora_steps.work(rank, settings["plan"])
    phase.enter("comparing what both ends trained")
    both = tuple(map(Noted.model_validate, exchange.gathered(rank, noted)))
    names = [rank.other(index).name for index in range(rank.size)]
    evidence = Recorder()
    wrong = _is_wrong(
        evidence,
        comparison.of(small, names, sizes),
        Scaling(rank.devices, both, plan, rank.hosts),
        Limit.model_validate(settings["size"]),
        Limit.model_validate(settings["direction"]),
    )
    mine = both[rank.index]
    return Training(
        compared=tuple(evidence.kept),
        wrong=wrong,
        weights=mine.weights,
        alone=mine.alone.rate,
        together=mine.together.rate,
        losses=_finite(mine.losses),
        model=f"LoRA on {plan.model.model} in {plan.precision}, {plan.model.batch} rows of up to {plan.model.length} "
        f"tokens on each end",
    ).model_dump(mode="json")


def _is_wrong(evidence: Recorder, small: Comparison, large: Scaling, size: Limit, direction: Limit) -> bool:
    """Whether something does not hold of the small model or of the large one; what was compared is in `evidence`."""
    held = exactly(evidence, small, size, direction)
    try:
        large.verify(evidence)
    except Wrong:
        return True
    return not held


def exactly(evidence: Recorder, found: Comparison, size: Limit, direction: Limit) -> bool:
    """Record and compare all of a small model's training; whether all of it holds."""
    how = f"{found.steps} steps of {found.accumulated} backward passes in fp32"
    same = {
        "ends with rows of the other": found.foreign_rows,
        "weights that differ at the start": found.start,
        "gradients that differ between ends": found.gradients,
        "weights that differ at the end": found.end,
    }
    held = [
        evidence.record(name, differ.count, unit=differ.unit, source=f"{differ.where}; {how}") == 0
        for name, differ in same.items()
    ]
    unused = ", ".join(found.with_unused) or how
    held.append(
        evidence.record("ends with a gradient of an unused parameter", len(found.with_unused), source=unused) == 0
    )
    for which, apart in (("first", found.first_loss), ("later", found.later_loss)):
        loss = evidence.record(
            f"difference of an end's {which} loss", apart.difference, unit="relative", source=f"{apart.where}; {how}"
        )
        held.append(loss.within(comparison.LOSS))
    for what, agreement in (("exchanged gradients", found.exact), ("updates", found.update)):
        angle, length = gradients.record(evidence, agreement, how, of=what)
        held += [length.within(size), angle <= direction]
    return all(held)


def _finite(losses: Sequence[float]) -> tuple[float, ...]:
    """Losses as an answer can hold them: what is no number is none that a loss can be."""
    return tuple(loss if math.isfinite(loss) else NOT_FINITE for loss in losses)
