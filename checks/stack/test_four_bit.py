"""Four bits: bitsandbytes quantises and multiplies as NF4 is defined."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import nf4_reference


@requirement(
    "INT4-COMPUTES",
    why="A model of 7 B parameters fits a small GPU only in 4 bits: without a working backend it does not even load.",
    remedy=(
        "Look: `python -m bitsandbytes` must end in SUCCESS and name this GPU's compute capability.",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
        "Wrong there too: see NF4-CORRECT and MATMUL-CORRECT, which look at more shapes.",
    ),
    takes_s=5,
    budget_s=180,
)
def test_a_four_bit_layer_computes_what_nf4_says(device, evidence):
    evidence.advise("Look: python -m bitsandbytes", *lockfile.advice("bitsandbytes"))
    found = nf4_reference.run(device)
    how = f"bitsandbytes' Linear4bit on {device.name}, against fp64 of NF4 by its definition"
    error = evidence.record("4-bit product error", found.error, unit="relative", source=how)
    bits = evidence.record("bits of a weight", found.bits, unit="bit", source="bytes of the packed weights")
    assert error.within(numerics.product_tolerance("nf4"))
    assert bits == 4.0
