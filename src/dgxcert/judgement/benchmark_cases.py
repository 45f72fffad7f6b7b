"""Cases: which precisions, paths and settings the model benchmarks are measured in, and how limits call them.

`stock` is what a user of transformers gets by default; `tuned` does the same work with as little around it as can be,
which is what shows the hardware. A setting names sizes that a profile gives.
"""

from dataclasses import dataclass

STOCK, TUNED = "stock", "tuned"
SINGLE, LONG, FULL, FULL_LONG = "single", "long", "full", "full_long"
"""One row and a short context, one row and a long one, as many rows as fill the machine, and both."""
COURSE, SMALL, LARGE = "course", "small", "large"
"""The course's DistilBERT classification, and causal models of two sizes."""

IN_FULL = ("fp32", "bf16")
"""The precisions that everything is measured in: on a CPU, and on a GPU."""
NF4, INT4 = "nf4", "int4"
"""4-bit weights by bitsandbytes, which is what the ecosystem uses, and by PyTorch itself."""
PRODUCTS = ("fp32", "tf32", "fp16", "bf16", "fp8")
DIRECTIONS = ("read", "copy")
TRANSFERS = ("to_device", "to_host")
LOADS = ("mmap", "read")


@dataclass(frozen=True)
class Case:
    """One way to run a model."""

    precision: str
    path: str
    setting: str

    def __str__(self) -> str:
        return f"{self.precision}-{self.path}-{self.setting}"

    def limit(self, what: str) -> str:
        """Name of the limit that a benchmark is held to in this case: `decode.bf16.tuned.single`."""
        return f"{what}.{self.precision}.{self.path}.{self.setting}"

    @property
    def spread(self) -> str:
        """Name of the limit of how much rounds may differ: in some cases a fast GPU waits for the host."""
        return "spread.host" if self.path == STOCK or self.setting == COURSE else "spread"


def _single(*precisions: str) -> tuple[Case, ...]:
    return tuple(Case(precision, path, SINGLE) for precision in precisions for path in (STOCK, TUNED))


PREFILL = (
    *_single("fp32", "fp16", "bf16", NF4),
    Case(INT4, TUNED, SINGLE),
    *(Case(precision, TUNED, setting) for precision in IN_FULL for setting in (LONG, FULL)),
)
DECODE = (
    *_single("fp32", "fp16", "bf16", NF4),
    Case(INT4, TUNED, SINGLE),
    *(Case(precision, STOCK, FULL) for precision in IN_FULL),
    *(Case(precision, TUNED, setting) for precision in (*IN_FULL, NF4, INT4) for setting in (LONG, FULL)),
    *(Case(precision, TUNED, FULL_LONG) for precision in IN_FULL),
)
LORA = (
    *(
        Case(precision, path, size)
        for precision in IN_FULL
        for size in (COURSE, SMALL, LARGE)
        for path in (STOCK, TUNED)
    ),
    *(Case(NF4, path, LARGE) for path in (STOCK, TUNED)),
)
