"""Operations: what all ranks do together, through torch.distributed, with the sizes and factors of nccl-tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import ALL_TO_ALL, SENDRECV

if TYPE_CHECKING:
    import torch

FORTH, BACK = "forth", "back"
"""One direction alone, between two ranks: from rank 0 to rank 1, and from rank 1 to rank 0."""
SENDERS = {FORTH: 0, BACK: 1}
ROOT = 0
"""The rank that broadcasts while it is timed, as in nccl-tests."""


arrived_s = 0.0
"""When this rank handed its last operation to torch: until then nobody else could make it wait."""


def factor(operation: str, ranks: int) -> float:
    """Bus bandwidth over bytes per second (NVIDIA/nccl-tests, doc/PERFORMANCE.md).

    >>> factor("all_reduce", 8), factor("all_gather", 8), factor("sendrecv", 8)
    (1.75, 0.875, 1.0)
    """
    share = (ranks - 1) / ranks
    factors = {"all_reduce": 2 * share, "all_gather": share, "reduce_scatter": share, ALL_TO_ALL: share}
    return factors.get(operation, 1.0)


@dataclass(frozen=True)
class Shape:
    """How many blocks of `count` elements a rank puts in, and gets out."""

    blocks_in: int
    blocks_out: int

    @property
    def blocks(self) -> int:
        """The larger of both: what nccl-tests counts as the size of an operation."""
        return max(self.blocks_in, self.blocks_out)


def shape(operation: str, ranks: int) -> Shape:
    """The shape of an operation.

    >>> shape("all_gather", 8).blocks, shape("sendrecv", 8).blocks
    (8, 1)
    """
    shapes = {
        "all_gather": Shape(1, ranks),
        "reduce_scatter": Shape(ranks, 1),
        ALL_TO_ALL: Shape(ranks, ranks),
    }
    return shapes.get(operation, Shape(1, 1))


def run(operation: str, given: "torch.Tensor", result: "torch.Tensor", root: int = ROOT) -> None:
    """One operation, not waited for on a GPU. all_reduce and broadcast work in place: `result` holds what is given."""
    import torch.distributed as dist

    steps: dict[str, Callable[[], object]] = {
        "all_reduce": lambda: dist.all_reduce(result),
        "broadcast": lambda: dist.broadcast(result, root),
        "all_gather": lambda: dist.all_gather_into_tensor(result, given),
        "reduce_scatter": lambda: dist.reduce_scatter_tensor(result, given),
        ALL_TO_ALL: lambda: dist.all_to_all_single(result, given),
        SENDRECV: lambda: exchange(given, result, 1),
        FORTH: lambda: one_way(given, result, SENDERS[FORTH]),
        BACK: lambda: one_way(given, result, SENDERS[BACK]),
    }
    global arrived_s
    arrived_s = time.perf_counter()
    steps[operation]()


def in_place(operation: str) -> bool:
    """Whether an operation overwrites what it is given."""
    return operation in ("all_reduce", "broadcast")


def exchange(given: "torch.Tensor", result: "torch.Tensor", distance: int) -> None:
    """Send to the rank so far after this one, and receive from the one as far before it."""
    import torch.distributed as dist

    mine, ranks = dist.get_rank(), dist.get_world_size()
    swap(given, result, (mine + distance) % ranks, (mine - distance) % ranks)


def is_written(operation: str, rank: int) -> bool:
    """Whether a rank gets a result: not the one that sends in one direction alone.

    >>> is_written("forth", 0), is_written("forth", 1), is_written("all_reduce", 0)
    (False, True, True)
    """
    return SENDERS.get(operation) != rank


def one_way(given: "torch.Tensor", result: "torch.Tensor", sender: int) -> None:
    """Send from one of two ranks to the other; it has arrived when the receiver returns."""
    import torch.distributed as dist

    if dist.get_rank() == sender:
        dist.send(given, 1 - sender)
    else:
        dist.recv(result, sender)


def swap(given: "torch.Tensor", result: "torch.Tensor", to: int, source: int) -> None:
    """Send to one rank and receive from one at the same time."""
    import torch.distributed as dist

    both = [dist.P2POp(dist.isend, given, to), dist.P2POp(dist.irecv, result, source)]
    for work in dist.batch_isend_irecv(both):
        work.wait()
