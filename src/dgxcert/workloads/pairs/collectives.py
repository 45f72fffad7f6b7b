"""Collectives of a pair: what both ranks do, exact first and then timed, and what one of them said as its answer."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from dgxcert.record.room.pair_answer import Exactness, Nccl, Speed, Swept
from dgxcert.workloads.distributed import nccl_log, operations
from dgxcert.workloads.distributed.task import Job
from dgxcert.workloads.pairs.order import OPERATIONS, Order

PROOF = "distributed.proof"
SPEED = "distributed.speed"
TRAINING = "pairs.training"
RANKS = 2


def jobs(order: Order) -> tuple[Job, ...]:
    """All that both ends do, in turn: wrong bytes are found before slow ones are timed, and training comes last."""
    sizes = order.collectives
    proof = Job(PROOF, {"counts": list(sizes.counts), "bf16_count": sizes.bf16_count, "operations": list(OPERATIONS)})
    settings = {
        "smallest_bytes": sizes.smallest_bytes,
        "largest_bytes": order.largest_bytes,
        "growth": sizes.growth,
        "timing": order.timing.model_dump(),
        "ours": list(order.training.ours),
    }
    timed = (Job(SPEED, {**settings, "operation": operation}) for operation in OPERATIONS)
    training = {
        "plan": order.training.model_dump(mode="json"),
        "size": order.size.model_dump(),
        "direction": order.direction.model_dump(),
    }
    return (proof, *timed, Job(TRAINING, training))


def exactness(said: Mapping[str, Any]) -> Exactness:
    """What `proof.work` returned on this end."""
    return Exactness(
        compared=said["compared"],
        wrong=said["wrong"],
        findings=tuple(f"{each['operation']} of {each['count']} integers: {each['text']}" for each in said["findings"]),
        rounding=max(said["bf16"].values()),
        bits=said["bits"],
    )


def speed(operation: str, said: Mapping[str, Any]) -> Speed:
    """What `speed.work` returned on this end of one operation.

    Bandwidths are nccl-tests' bus bandwidths of two ranks, in GB/s (10^9 bytes per second).
    """
    factor = operations.factor(operation, RANKS)
    seconds: Sequence[float] = said["seconds"]
    return Speed(
        operation=operation,
        swept=tuple(
            Swept(size_bytes=int(size), seconds=each, gbs=size * factor / each / 1e9) for size, each in said["swept"]
        ),
        plateau_bytes=said["bytes"],
        rounds_s=tuple(seconds),
        gbs=said["bytes"] * factor / statistics.median(seconds) / 1e9 if seconds else None,
        wrong=said["wrong"],
        algorithm=said["algorithm"],
        how=said["how"],
        disturbed=said["disturbance"] or said["unknown"],
    )


def nccl(text: str) -> Nccl:
    """What NCCL's log says of how it joined both ends."""
    log = nccl_log.parse(text)
    return Nccl(
        version=log.version,
        hcas=log.hcas,
        interfaces=log.interfaces,
        network=log.network,
        transports=log.transports,
        warnings=log.warnings,
    )
