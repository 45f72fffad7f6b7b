"""CUDA as torch sees it: whether it works, and how many GPUs it offers."""

import os
from dataclasses import dataclass

from dgxcert.outcome import Inconclusive


@dataclass(frozen=True)
class Cuda:
    """`build` names torch's version and the CUDA that it was built for."""

    available: bool
    count: int
    build: str
    version: str | None = None
    """The CUDA that torch was built for, like `13.0`; None for a build without."""

    @property
    def major(self) -> int:
        """13 of 13.0; raises Inconclusive for a build without CUDA, which GPU-CUDA judges."""
        if self.version is None:
            raise Inconclusive(f"{self.build}: there is no CUDA that a driver could serve", "See GPU-CUDA first.")
        return int(self.version.partition(".")[0])


def read() -> Cuda:
    """Ask torch in this process.

    Raises Inconclusive when the environment hides GPUs: what is hidden was not looked at.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        raise Inconclusive(
            f"CUDA_VISIBLE_DEVICES is set to {hidden!r}, so torch is not shown every GPU",
            "Run again without it: env -u CUDA_VISIBLE_DEVICES dgxcert validate",
        )
    import torch

    build = f"torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'}"
    return Cuda(torch.cuda.is_available(), torch.cuda.device_count(), build, torch.version.cuda)
