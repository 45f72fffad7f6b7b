"""Course weights: the memory of a model's weights follows from its number of parameters."""

from dgxcert import requirement
from dgxcert.workloads.course import weights_memory


@requirement(
    "COURSE-MEMORY",
    title="A parameter takes 2 bytes in fp16 and about half a byte in 4 bits",
    why="Whether a model fits is estimated from its parameters: 7 B take about 14 GB in FP16, and about 3.5 GB plus "
    "the scales in INT4.",
    remedy=(
        "Run `print(sum(p.numel() * p.element_size() for p in model.parameters()))` with a model of your own.",
        "Load the model with dtype=torch.float16 or torch.bfloat16 where it takes twice the expected memory.",
        "In `make shell`, run `python -m bitsandbytes` where 4-bit weights are as large as 16-bit ones: it must "
        "end in SUCCESS.",
    ),
    tier="standard",
    takes_s=6,
    budget_s=300,
)
def test_a_parameter_takes_two_bytes_in_fp16_and_half_a_byte_in_four_bits(device, profile, evidence):
    memory = weights_memory.measure(device, profile.workloads.weights_memory.model)
    unit, of_7b = weights_memory.BYTE_PER_PARAMETER, f"of 7 B such parameters; {weights_memory.COURSE}"
    fp16 = evidence.record("fp16", memory.per_parameter, unit=unit, source=memory.source)
    nf4 = evidence.record("NF4 layers, scales included", memory.per_weight, unit=unit, source=memory.source)
    evidence.record("7 B parameters in fp16", memory.fp16_gb, unit="GB", source=f"{memory.source}; {of_7b}")
    evidence.record("7 B parameters in NF4", memory.nf4_gb, unit="GB", source=f"{memory.source}; {of_7b}")
    assert fp16.within(weights_memory.IN_16_BITS)
    assert nf4.within(weights_memory.IN_4_BITS)
