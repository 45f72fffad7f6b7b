"""CUDA by torch: whether it is available, how many GPUs it offers, and which version torch was built for."""

import os
from dataclasses import dataclass

from dgxcert.machine.identity import is_display_adapter
from dgxcert.outcome import Inconclusive


@dataclass(frozen=True)
class Cuda:
    """`build` names torch's version and the CUDA version that it was built for.

    >>> Cuda(True, 1, "torch 2.10, built for CUDA 13.0", "13.0").major
    13
    """

    available: bool
    count: int
    """GPUs without display adapters."""
    build: str
    version: str | None = None
    """The CUDA version that torch was built for, as `13.0`; None for a CPU build."""

    @property
    def major(self) -> int:
        """13 of 13.0. Raises Inconclusive for a CPU build, which GPU-CUDA judges."""
        if self.version is None:
            raise Inconclusive(
                f"{self.build}: there is no CUDA version that a driver could support", "See GPU-CUDA first."
            )
        return int(self.version.partition(".")[0])


def read() -> Cuda:
    """CUDA by torch, in this process. Raises Inconclusive where the environment hides GPUs, which are not checked."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        raise Inconclusive(
            f"CUDA_VISIBLE_DEVICES is set to {hidden!r}, so torch does not see every GPU",
            "Run again without it: env -u CUDA_VISIBLE_DEVICES make validate",
        )
    import torch

    build = f"torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'}"
    available = torch.cuda.is_available()
    listed = range(torch.cuda.device_count() if available else 0)
    count = sum(not is_display_adapter(torch.cuda.get_device_name(index)) for index in listed)
    return Cuda(available, count, build, torch.version.cuda)
