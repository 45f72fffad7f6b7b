"""The work of a burn-in, of which the last rank has the fault that the environment names."""

import os
import signal
import time
from typing import Any

from dgxcert.workloads.burn_in import log, loop, together
from dgxcert.workloads.burn_in.log import Cycle
from dgxcert.workloads.burn_in.workload import Matmuls, Training
from dgxcert.workloads.distributed.rank import Rank

FROM_CYCLE = 3


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    """As the product's, with the fault from the third cycle on, and less patience with each other."""
    together.LATE_S, together.LATE_CYCLES = 3.0, 0.0
    if rank.index == rank.size - 1:
        FAULTS[os.environ["PLANTED"]]()
    return together.work(rank, settings)


def _nothing() -> None:
    """No fault."""


def _in_third_cycle(fault: Any) -> None:
    """Call a fault in place of the work of the third cycle and of all after it."""
    real, cycles = loop.Worker.cycle, []

    def cycle(worker: loop.Worker) -> Cycle:
        cycles.append(1)
        if len(cycles) >= FROM_CYCLE:
            fault()
        return real(worker)

    loop.Worker.cycle = cycle  # type: ignore[method-assign]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    time.sleep(600)


def _other_product() -> None:
    """The same wrong hash in every cycle, with which the rank agrees."""
    Matmuls.fingerprint = lambda _: "f" * 64  # type: ignore[method-assign]


def _flipped_weights() -> None:
    real = Training.fingerprint
    _in_third_cycle(lambda: setattr(Training, "fingerprint", lambda each: real(each)[::-1]))


FAULTS = {
    "nothing": _nothing,
    "dies": lambda: _in_third_cycle(_kill),
    "hangs": lambda: _in_third_cycle(_hang),
    "other product": _other_product,
    "flipped weights": _flipped_weights,
}
assert log
