"""The device that work runs on: one GPU, or the CPU where the profile looks at no GPU."""

import gc
import sys
from dataclasses import dataclass
from typing import Literal

from dgxcert.machine import driver_query
from dgxcert.outcome import Inconclusive

SHARING_ANSWER_S = 15.0
"""Asked right after a measurement, with the driver loaded: it answers at once or is stuck."""


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

    def sharing_problem(self) -> str | None:
        """Why a measurement on this GPU is not believable: other processes, or that they cannot be told; else None."""
        try:
            return self.other_processes()
        except Inconclusive as unknown:
            return unknown.problem

    def other_processes(self) -> str | None:
        """A description of the other compute processes on this GPU, or None where this process is alone.

        Raises Inconclusive where the driver does not report them.
        """
        if self.kind == "cpu":
            return None
        try:
            answers = driver_query.ask_gpu(self.index, "compute_processes", timeout_s=SHARING_ANSWER_S, remember=False)
            pids = answers["compute_processes"]
        except Inconclusive as unknown:
            raise Inconclusive(f"cannot tell whether GPU {self.index} was shared: {unknown.problem}") from unknown
        # NVML gives the host's process ids, which inside a container are not ours: so they are counted, not compared.
        # This process has a CUDA context and is one of them; a list without any cannot be trusted to show others.
        if not pids:
            raise Inconclusive(
                f"cannot tell whether GPU {self.index} was shared: the driver lists no process, not even this one"
            )
        return f"GPU {self.index} was shared: {len(pids)} compute processes ({pids})" if len(pids) > 1 else None
