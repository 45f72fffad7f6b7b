"""The device that work runs on: one GPU, or the CPU where the profile has no GPU."""

import gc
import sys
from dataclasses import dataclass
from typing import Literal

from dgxcert.machine import driver_query
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive

SHARING_ANSWER_S = 15.0
"""Asked right after a measurement, with the driver loaded: it answers at once or is stuck."""


@dataclass(frozen=True)
class Device:
    """One GPU or the CPU. `kind` is torch's device type; `margin_gib` is the memory that work leaves free.

    >>> Device("cuda", 1, "NVIDIA H200").name
    'cuda:1'
    """

    kind: Literal["cuda", "cpu"]
    index: int
    """In PCI bus order, as NVML counts. CUDA counts so only with CUDA_DEVICE_ORDER=PCI_BUS_ID, which every run sets."""
    product: str
    memory: MemoryKind = MemoryKind.SEPARATE
    margin_gib: float = 2.0
    lanes: int = 1
    """How many lanes share the host's memory, each with a GPU of its own."""

    @property
    def name(self) -> str:
        """torch's name of it: `cuda:0` or `cpu`."""
        return f"cuda:{self.index}" if self.kind == "cuda" else "cpu"

    def make_current(self) -> None:
        """Have what names no GPU use this one, as pinned memory does: its context would lie on that of another lane."""
        if self.kind == "cuda":
            import torch

            torch.cuda.set_device(self.index)

    def wait(self) -> None:
        """Block until the device is idle. Kernels run asynchronously: without this a timer measures their launch."""
        if self.kind == "cuda":
            import torch

            torch.cuda.synchronize(self.index)

    @property
    def shares_system_memory(self) -> bool:
        """Whether this GPU uses the system's memory, by the profile or by the GPU's own properties.

        A coherent GPU does not: it computes in its own.
        """
        if self.kind == "cpu" or self.memory is not MemoryKind.SEPARATE:
            return self.memory is MemoryKind.UNIFIED
        import torch

        return bool(torch.cuda.get_device_properties(self.index).is_integrated)

    def cuda_free_bytes(self) -> int:
        """Free memory by cudaMemGetInfo. On unified memory it excludes the page cache, which Linux would give back."""
        import torch

        return int(torch.cuda.mem_get_info(self.index)[0])

    def release(self) -> None:
        """Free the memory of finished work, so that the next workload is sized by what is really free."""
        # Python keeps the frames of the last failure, and with them the model of a failed workload.
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            vars(sys).pop(name, None)
        gc.collect()
        if self.kind == "cuda" and "torch" in sys.modules:
            import torch

            torch.cuda.empty_cache()  # torch caches freed memory, which the driver counts as used

    def is_open_here(self) -> bool:
        """Whether this process has a context on this GPU, so that the driver lists it there."""
        torch = sys.modules.get("torch")
        if self.kind == "cpu" or torch is None or not torch.cuda.is_initialized():
            return False
        return bool(torch._C._cuda_hasPrimaryContext(self.index))

    def other_processes(self, ours: int = 1) -> str | None:
        """A description of the other compute processes on this GPU, or None beside the processes of this run.

        `ours` is how many of them are there: this one, and with ranks perhaps the one that started them. Raises
        Inconclusive where the driver does not report them.
        """
        if self.kind == "cpu":
            return None
        try:
            questions = ("compute_processes", "foreign_processes")
            answers = driver_query.ask_gpu(self.index, *questions, timeout_s=SHARING_ANSWER_S, remember=False)
            pids, foreign = answers["compute_processes"], answers.answered.get("foreign_processes")
        except Inconclusive as unknown:
            problem = f"cannot tell whether GPU {self.index} was shared: {unknown.problem}"
            raise Inconclusive(problem, *unknown.remedy) from unknown
        # NVML gives the host's process ids, which inside a container are not ours: so they are counted, not compared.
        # Who looks from outside of the container can tell them, and then one that is not of it is enough.
        # This process has a CUDA context and is one of them; a list without any cannot be trusted to show others.
        if not pids:
            raise Inconclusive(
                f"cannot tell whether GPU {self.index} was shared: the driver lists no process, not even this one"
            )
        shared = bool(foreign) or len(pids) > ours
        return f"GPU {self.index} was shared: {len(pids)} compute processes ({pids})" if shared else None
