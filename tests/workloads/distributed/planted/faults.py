"""Work whose faults are planted here, by what `PLANTED` says: `KIND` is met by rank 1 alone."""

import os
import signal
import sys
import time
from typing import Any

import torch
import torch.distributed as dist

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.distributed import phase
from dgxcert.workloads.distributed.rank import Rank

RANK = int(os.environ["RANK"])
if os.environ.get("PLANTED") == "never arrives" and RANK == 1:
    time.sleep(600)


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    phase.enter("computing")
    if rank.index == 1:
        plant(settings.get("kind", ""))
    phase.enter("adding")
    total = torch.ones(4)
    dist.all_reduce(total)
    return {"total": total.tolist(), "rank": dist.get_rank(), "size": dist.get_world_size(), "pid": os.getpid()}


def plant(kind: str) -> None:
    if kind == "ends":
        os._exit(0)
    if kind == "exits":
        os._exit(3)
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hangs":
        time.sleep(600)
    if kind == "ignores":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if kind == "wrong":
        raise Wrong("element 3 is 4", "Look at element 3.")
    if kind == "inconclusive":
        raise Inconclusive("no data")
    if kind == "raises":
        sys.stderr.write("the reason stands here\n")
        raise ValueError("not today")
