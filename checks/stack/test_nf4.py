"""NF4: a 4-bit layer of bitsandbytes quantises and multiplies as NF4 is defined."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import nf4_reference


@requirement(
    "NF4-COMPUTES",
    title="A bitsandbytes NF4 layer computes the reference result",
    why="QLoRA and 4-bit inference run on bitsandbytes' NF4: without a working backend the model does not load.",
    remedy=(
        "In `make shell`, run `python -m bitsandbytes`: it must end in SUCCESS and name this GPU's compute capability.",
        *lockfile.RESTORE,
        "If it still fails, read the results of NF4-CORRECT and MATMUL-CORRECT, which test more shapes.",
    ),
    takes_s=1,
    budget_s=180,
)
def test_nf4_layer_computes_the_reference_result(device, evidence):
    evidence.advise("In `make shell`: python -m bitsandbytes", *lockfile.advice())
    layer = nf4_reference.run(device)
    source = f"bitsandbytes' Linear4bit on {device.name}, compared with fp64 of NF4 by its definition"
    error = evidence.record("NF4 matmul error", layer.error, unit="relative", source=source)
    bits = evidence.record("bits of a weight", layer.bits, unit="bit", source="bytes of the packed weights")
    assert error.within(numerics.matmul_tolerance("nf4"))
    assert bits == 4.0
