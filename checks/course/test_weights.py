"""Course weights: the memory that a model takes follows from its parameter count."""

from dgxcert import requirement
from dgxcert.workloads.course import weights_memory


@requirement(
    "COURSE-MEMORY",
    why="Whether a model fits is estimated from its parameters: 7 B in FP16 take about 14 GB, in INT4 about 3.5 GB and "
    "the scales.",
    remedy=(
        "Look: print(sum(p.numel() * p.element_size() for p in model.parameters())) of a model of your own.",
        "Twice as much as expected: load it with dtype=torch.float16 or torch.bfloat16.",
        "4-bit weights as large as 16-bit ones: python -m bitsandbytes must end in SUCCESS.",
    ),
    tier="standard",
    takes_s=6,
    budget_s=300,
)
def test_a_parameter_takes_two_bytes_in_fp16_and_half_a_byte_in_int4(device, profile, evidence):
    found = weights_memory.measure(device, profile.workloads.weights_memory.model)
    unit, of_7b = weights_memory.BYTE_PER_PARAMETER, f"of 7 B such parameters; {weights_memory.COURSE}"
    fp16 = evidence.record("fp16", found.per_parameter, unit=unit, source=found.says)
    int4 = evidence.record("int4 (NF4 layers, scales included)", found.per_weight, unit=unit, source=found.says)
    evidence.record("7 B parameters in fp16", found.fp16_gb, unit="GB", source=f"{found.says}; {of_7b}")
    evidence.record("7 B parameters in int4", found.int4_gb, unit="GB", source=f"{found.says}; {of_7b}")
    assert fp16.within(weights_memory.IN_16_BITS)
    assert int4.within(weights_memory.IN_4_BITS)
