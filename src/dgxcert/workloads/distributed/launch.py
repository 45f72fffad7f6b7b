"""Launch: one process per device by torch's own launcher, each calling one function, all ended together.

A module that works so has a function `work(rank, settings)`, which returns what can be written as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dgxcert.machine.device import Device


def run(
    module: str, devices: Sequence[Device], settings: Mapping[str, Any], *, limit_s: float, backend: str = ""
) -> tuple[dict[str, Any], ...]:
    """What `dgxcert.workloads.MODULE.work(rank, settings)` returned on each device, in the order of the devices.

    `backend` is torch.distributed's; without one, NCCL on GPUs and gloo on the CPU. Each process is bound to its device
    and to the processors beside it, and has its process group before `work` is called. Raises Wrong as the rank that
    raised it; Inconclusive, by name, where a rank died, did not arrive or did not end within `limit_s`: no process is
    left then.
    """
    raise NotImplementedError
