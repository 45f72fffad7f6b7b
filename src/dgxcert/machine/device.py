"""The device that work runs on: one GPU, or the CPU where the profile looks at no GPU."""

import gc
import json
import sys
from dataclasses import dataclass
from typing import Literal

from dgxcert import command
from dgxcert.outcome import Inconclusive


@dataclass(frozen=True)
class Device:
    """`kind` is torch's word for it; `index` counts in PCI bus order, as the driver does.

    `unified_memory` says that the GPU shares the system's memory, so that the system's figures are the true ones;
    `margin_gib` is what work leaves free.
    """

    kind: Literal["cuda", "cpu"]
    index: int
    product: str
    unified_memory: bool = False
    margin_gib: float = 2.0

    @property
    def name(self) -> str:
        """torch's name: `cuda:0` or `cpu`."""
        return f"cuda:{self.index}" if self.kind == "cuda" else "cpu"

    def wait(self) -> None:
        """Return when the device has done all that was asked of it; without this a GPU's time means nothing."""
        if self.kind == "cuda":
            import torch

            torch.cuda.synchronize(self.index)

    @property
    def shares_system_memory(self) -> bool:
        """Whether this GPU's memory is the system's: the profile says so, or the GPU itself does."""
        if self.kind == "cpu" or self.unified_memory:
            return self.unified_memory
        import torch

        return bool(torch.cuda.get_device_properties(self.index).is_integrated)

    def cuda_free_bytes(self) -> int:
        """What CUDA calls free; on unified memory that leaves out whatever the page cache holds."""
        import torch

        return int(torch.cuda.mem_get_info(self.index)[0])

    def release(self) -> None:
        """Give back the memory of work that is done, so that the next is sized from what is really free.

        Python keeps the frames of the last failure, and with them a failed workload's model; torch keeps freed
        memory for itself, which the driver then counts as used.
        """
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            vars(sys).pop(name, None)
        gc.collect()
        if self.kind == "cuda" and "torch" in sys.modules:
            import torch

            torch.cuda.empty_cache()

    def disturbance(self) -> str | None:
        """Who else computes on this GPU, or why that cannot be told; None where nobody does."""
        try:
            return self.sharers()
        except Inconclusive as unknown:
            return unknown.problem

    def sharers(self) -> str | None:
        """Who else computes on this GPU, or None; raises Inconclusive where the driver does not tell.

        Our own process is one compute process; a second one is somebody else, whatever process ids a container
        shows. A driver that does not even list us cannot tell. It is asked from a process of its own, because
        that question can hang.
        """
        if self.kind == "cpu":
            return None
        question = ["gpu", str(self.index), "compute_processes"]
        asked = command.run([sys.executable, "-P", "-m", "dgxcert.probes.gpu.driver_answers", *question], timeout_s=15)
        if asked.returncode != 0:
            raise Inconclusive(f"could not ask the driver whether GPU {self.index} was shared: {asked.complaint}")
        said = json.loads(asked.stdout)
        pids = said.get("answered", {}).get("compute_processes")
        if pids is None:
            raise Inconclusive(
                f"the driver does not tell whether GPU {self.index} was shared: {said.get('says', said)}"
            )
        if not pids:
            raise Inconclusive(f"the driver lists nobody on GPU {self.index}, not even us: sharing would not show")
        return f"GPU {self.index} was shared: {len(pids)} compute processes ({pids})" if len(pids) > 1 else None
