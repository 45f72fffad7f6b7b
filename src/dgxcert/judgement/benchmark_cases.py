"""Cases: the precisions, paths and settings in which the model benchmarks are measured, and the names of their limits.

`stock` is what a user of transformers gets by default; `tuned` does the same work with the least overhead, which shows
the hardware. A setting names sizes that a profile sets.
"""

from dataclasses import dataclass

STOCK, TUNED = "stock", "tuned"
SINGLE, LONG, FULL, FULL_LONG = "single", "long", "full", "full_long"
"""One row with a short context, one row with a long one, as many rows as saturate the machine, and both."""
COURSE, SMALL, LARGE = "course", "small", "large"
"""The course's DistilBERT classification, and causal models of two sizes."""

IN_FULL = ("fp32", "bf16")
"""The precisions that every setting is measured in: fp32 also runs on a CPU, bf16 is what a GPU is used with."""
NF4, INT4 = "nf4", "int4"
"""4-bit weights: bitsandbytes' NF4, which QLoRA uses, and torch's own int4."""
MATMUL = ("fp32", "tf32", "fp16", "bf16", "fp8")
TRAINING = (*IN_FULL, NF4)
"""The precisions of the weights that are trained, or that adapters are trained on."""
DIRECTIONS = ("read", "copy")
TRANSFERS = ("to_device", "to_host")
LOADS = ("mmap", "read")
ALL_TO_ALL, SENDRECV = "all_to_all", "sendrecv"
GLOO, NVLS, RING, TREE, PAT, P2P = "gloo", "nvls", "ring", "tree", "pat", "p2p"
"""How data goes: by gloo on a CPU, by NCCL through the switches (NVLS), along a ring or tree, in parallel trees (PAT),
or from each to each, where NCCL chooses no algorithm."""
COLLECTIVES = {
    "all_reduce": (NVLS, RING, TREE, GLOO),
    "all_gather": (NVLS, RING, PAT, GLOO),
    "reduce_scatter": (NVLS, RING, PAT, GLOO),
    ALL_TO_ALL: (P2P, GLOO),
    "broadcast": (RING, GLOO),
    SENDRECV: (P2P, GLOO),
}
"""What all GPUs do together, each with the algorithms by which it can be done within one machine."""


@dataclass(frozen=True)
class Case:
    """One way to run a model.

    >>> case = Case("bf16", TUNED, SINGLE)
    >>> str(case), case.limit("decode"), case.spread
    ('bf16-tuned-single', 'decode.bf16.tuned.single', 'spread')
    """

    precision: str
    path: str
    setting: str

    def __str__(self) -> str:
        return f"{self.precision}-{self.path}-{self.setting}"

    def limit(self, benchmark: str) -> str:
        """Name of the limit of a benchmark in this case: `decode.bf16.tuned.single`."""
        return f"{benchmark}.{self.precision}.{self.path}.{self.setting}"

    @property
    def spread(self) -> str:
        """Name of the limit of the spread between rounds: in some cases a fast GPU waits for the host."""
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
