"""The quantities a profile may limit, each with its one unit, so that a wrong unit is an error and not a factor."""

from difflib import get_close_matches

OF_ROOFLINE = "of roofline"
OF_CEILING = "of ceiling"
OF_MEDIAN = "of median"
OF_TIME = "of time"
OF_START = "of start"
OF_DEFAULT = "of default"
OF_AVAILABLE = "of available"

PRECISIONS = ("fp32", "fp16", "bf16", "int4")

QUANTITIES: dict[str, tuple[str, ...]] = {
    "gpu.compute_capability": ("compute capability",),
    "device.memory": ("GiB",),
    "driver.branch": ("driver branch",),
    "gpu.product": ("",),
    "gpu.persistence": ("",),
    "gpu.compute_mode": ("",),
    "gpu.mig": ("",),
    "gpu.ecc": ("",),
    "ecc.uncorrected": ("error",),
    "memory.free": (OF_AVAILABLE,),
    "memory.pattern": ("GiB",),
    "link.width": ("lane", OF_CEILING),
    "link.generation": ("PCIe generation", OF_CEILING),
    "clock.under_load": ("MHz", OF_CEILING),
    "clock.steadiness": (OF_START,),
    "temperature.under_load": ("°C",),
    "slowdown.thermal": (OF_TIME,),
    "slowdown.power_cap": (OF_TIME,),
    "slowdown.power_brake": (OF_TIME,),
    "burn_in.steadiness": (OF_START,),
    "power.limit": (OF_DEFAULT,),
    "disk.free": ("GiB",),
    "memory.available": ("GiB",),
    "swap.used": ("GiB",),
    "clock.error": ("s",),
    "xid.faults": ("event",),
    "attention.backends": ("backend",),
    "bandwidth.copy": ("GB/s",),
    "spread": (OF_MEDIAN,),
    **{f"matmul.{precision}": ("TFLOP/s",) for precision in PRECISIONS[:3]},
    **{f"prefill.{precision}": ("token/s", OF_ROOFLINE, OF_CEILING) for precision in PRECISIONS},
    **{f"decode.{precision}": ("token/s", OF_ROOFLINE, OF_CEILING) for precision in PRECISIONS},
    **{f"lora.{precision}": ("step/s", OF_ROOFLINE, OF_CEILING) for precision in PRECISIONS[:3]},
}
"""Name of a limit: the units it may be written in. Shares are of the bound that a workload computes for itself."""

SPEEDS = ("bandwidth", "matmul", "prefill", "decode", "lora")
"""Quantities of which more is better."""

PEAKS: dict[str, str] = {
    "memory_bandwidth": "GB/s",
    "matmul.fp32": "TFLOP/s",
    "matmul.fp16": "TFLOP/s",
    "matmul.bf16": "TFLOP/s",
}
"""Name of a physical peak: its unit."""


def nearest(word: str, known: list[str]) -> str:
    """A hint for an error message: the nearest right word, or all of them."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
