"""CUDA by torch: whether it is available, how many GPUs it offers, and which version torch was built for."""

import os
import warnings
from dataclasses import dataclass
from typing import Any

from dgxcert.machine import cuda_errors
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
    complaint: str = ""
    """torch's message where a CUDA build of it cannot start CUDA."""

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the error that torch's message names; empty where it names none.

        >>> Cuda(False, 0, "torch 2.10", "13.0", "Error 802: system not yet initialized").remedy[1]
        'Read why it does not: journalctl -u nvidia-fabricmanager; sudo tail -50 /var/log/fabricmanager.log'
        """
        error = cuda_errors.named_in(self.complaint)
        return error.remedy if error else ()

    @property
    def source(self) -> str:
        """torch's build, and what it says where it cannot start CUDA, for evidence."""
        return f"{self.build}: {self.complaint}" if self.complaint else self.build

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
    with warnings.catch_warnings(action="ignore"):  # what it warns of is read below, in its own words
        available = torch.cuda.is_available()
    listed = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count() if available else 0)]
    count = sum(not is_display_adapter(product, listed) for product in listed)
    complaint = "" if available or torch.version.cuda is None else _complaint(torch.cuda)
    return Cuda(available, count, build, torch.version.cuda, complaint)


def _complaint(torch_cuda: Any) -> str:
    """The first line of what torch says when it is told to start CUDA, which `is_available` does not."""
    try:
        torch_cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().partition("\n")[0]
    return ""
