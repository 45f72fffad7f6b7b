"""Exchange: what the ranks of a launch tell each other, over gloo: small objects, and the bytes of a result."""

import datetime
import re
from typing import TYPE_CHECKING, Any

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.distributed.rank import Rank

if TYPE_CHECKING:
    import torch


LATE = re.compile(r"[Rr]anks? ([\d, ]+) failed to pass")
"""What rank 0 says of the others that did not come to torch's monitored barrier."""
GRACE_S = 30.0
"""How much longer the others wait for rank 0, which names the one that is missing."""


def meet(rank: Rank, limit_s: float) -> None:
    """Wait for all other ranks; raises Inconclusive that names those which do not come within `limit_s`."""
    import torch.distributed

    patience = datetime.timedelta(seconds=limit_s + (GRACE_S if rank.index else 0.0))
    try:
        torch.distributed.monitored_barrier(timeout=patience, wait_all_ranks=True)
    except RuntimeError as error:
        names = [rank.other(index).name for index in late(str(error), rank.size)]
        if rank.index or not names:
            raise
        raise Inconclusive(
            f"waited {limit_s:.0f} s in vain for {' and '.join(names)}",
            "Read what the driver says of it: sudo dmesg | tail -50",
            "Run it again; where the same one is named, reset the GPUs or restart the machine: sudo reboot",
        ) from error


def late(said: str, size: int) -> tuple[int, ...]:
    """The ranks that torch's monitored barrier missed.

    >>> late("[Rank 0]: Ranks 1, 3 failed to pass monitoredBarrier in 1000 ms", 4)
    (1, 3)
    """
    found = LATE.search(said)
    return tuple(index for index in map(int, re.findall(r"\d+", found[1])) if index < size) if found else ()


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
