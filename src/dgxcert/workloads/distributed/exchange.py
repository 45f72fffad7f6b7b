"""Exchange: what the ranks of a launch tell each other, over gloo: small objects, and the bytes of a result."""

from typing import TYPE_CHECKING, Any

from dgxcert.workloads.distributed.rank import Rank

if TYPE_CHECKING:
    import torch


def gathered(rank: Rank, mine: Any) -> list[Any]:
    """What every rank gave, in the order of ranks; each waits here for all others."""
    import torch.distributed

    everyone: list[Any] = [None] * rank.size
    torch.distributed.all_gather_object(everyone, mine)
    return everyone


def sent_by(source: int, rank: Rank, values: "torch.Tensor | None", size_bytes: int) -> "torch.Tensor":
    """The bytes of a tensor on the CPU that rank `source` has and all others get, as (size_bytes,) uint8."""
    import torch
    import torch.distributed

    if rank.index == source and values is not None:
        buffer = values.contiguous().flatten().view(torch.uint8).clone()
    else:
        buffer = torch.empty(size_bytes, dtype=torch.uint8)
    torch.distributed.broadcast(buffer, source)
    return buffer
