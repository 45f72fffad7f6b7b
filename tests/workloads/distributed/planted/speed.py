"""The timing of collectives, in which one rank dies in an operation or begins each one late."""

import os
import time
from typing import Any

from dgxcert.workloads.distributed import operations, speed
from dgxcert.workloads.distributed.rank import Rank

LATE_S = 0.005


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    kind = settings["kind"] if rank.index == settings["guilty"] else ""
    right = operations.run

    def run(*given: Any) -> None:
        if kind == "dies":
            os._exit(9)
        time.sleep(LATE_S if kind == "slow" else 0)
        right(*given)

    operations.run = run
    try:
        return speed.work(rank, settings)
    finally:
        operations.run = right
