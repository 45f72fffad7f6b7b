"""An NVIDIA driver's answer, as the NVML probe returns it."""

from typing import Any

from dgxcert.machine.identity import Gpu
from dgxcert.probes.gpu.nvml import Driver


def driver(count: int, capability: str = "9.0", **fields: Any) -> Driver:
    """Driver 580.95.05 that lists so many H200, with other fields of `Driver` changed."""
    gpus = tuple(
        Gpu(index=index, product="NVIDIA H200", uuid=f"GPU-{index}", compute_capability=capability)
        for index in range(count)
    )
    return Driver(**{"version": "580.95.05", "cuda": "13.0", "gpus": gpus} | fields)
