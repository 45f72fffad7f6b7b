"""The proof of collectives, in which the library that rank 1 calls has a fault."""

from typing import Any

import torch
import torch.distributed as dist

from dgxcert.workloads.distributed import operations, pattern, placement, proof
from dgxcert.workloads.distributed.rank import Rank


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    kind = settings.pop("kind", "")
    if rank.index == 1 and kind:
        FAULTS[kind]()
    if kind == "swapped":  # on both, as wrongly connected ranks would be
        swap()
    return proof.work(rank, settings)


def after(operation: str, spoil: Any) -> None:
    """Have an operation spoil its result."""
    right = operations.run

    def run(name: str, given: torch.Tensor, result: torch.Tensor, root: int = 0) -> None:
        right(name, given, result, root)
        if name == operation:
            spoil(given, result)

    operations.run = run


def flip(_given: torch.Tensor, result: torch.Tensor) -> None:
    if result.dtype == torch.int64 and len(result) > 700:
        result[700] ^= 1


def forget(_given: torch.Tensor, result: torch.Tensor) -> None:
    """Leave out what rank 0 has added."""
    if result.dtype == torch.int64:
        digits = pattern.Digits(2)
        result &= ~(2**digits.bits - 1)


def stale() -> None:
    """The second run of each size writes nothing."""
    right, seen = operations.run, set()

    def run(name: str, given: torch.Tensor, result: torch.Tensor, root: int = 0) -> None:
        mine = result.clone()
        right(name, given, result, root)
        key = (name, len(result), root)
        if name == "all_gather" and key in seen:
            result.copy_(mine)
        seen.add(key)

    operations.run = run


def swap() -> None:
    """The blocks of all_to_all arrive at each other's place."""

    def exchanged(_given: torch.Tensor, result: torch.Tensor) -> None:
        halves = result.clone().chunk(2)
        result.copy_(torch.cat([halves[1], halves[0]]))

    after("all_to_all", exchanged)


def nothing() -> None:
    after("all_gather", lambda given, result: result.fill_(pattern.POISON))


def imprecise() -> None:
    def coarse(_given: torch.Tensor, result: torch.Tensor) -> None:
        if result.dtype == torch.bfloat16:
            result.copy_((result.float() * 1.02).bfloat16())

    after("reduce_scatter", coarse)


def elsewhere() -> None:
    placement.identity = lambda rank: f"rank {dist.get_rank() - 1}"


FAULTS = {
    "wrong element": lambda: after("all_gather", flip),
    "wrong byte on one way": lambda: after("forth", flip),
    "missing rank": lambda: after("all_reduce", forget),
    "stale": stale,
    "swapped": lambda: None,
    "nothing": nothing,
    "imprecise": imprecise,
    "elsewhere": elsewhere,
}
