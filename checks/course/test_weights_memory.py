"""Course weights: the memory of a model's weights follows from their number, and loading takes it once."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import weights_memory
from dgxcert.workloads.models import loading


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
    takes_s=2,
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


@requirement(
    "LOAD-MEMORY",
    title="Loading a checkpoint takes the memory of its weights once",
    why="A model that takes twice its size while it is loaded does not fit where it should, above all where the GPU "
    "shares the system's memory: the machine swaps, or the notebook is killed.",
    remedy=(
        "Compare with dtype=torch.bfloat16 in `from_pretrained`: weights in 32 bits take twice the memory of 16.",
        "Keep the checkpoint in safetensors files, which are mapped: model.save_pretrained(folder)",
        *lockfile.RESTORE,
    ),
    takes_s=12,
    budget_s=240,
)
def test_loading_a_checkpoint_takes_the_memory_of_its_weights_once(device, profile, evidence):
    loaded = loading.measure(device, profile.workloads.loading.layers)
    limit = profile.limit("memory.loading")
    mapped = loaded.mapped_bytes / 1e6
    evidence.record("mapped files, which the kernel can reclaim", mapped, unit="MB", source="RssFile, after loading")
    peak = evidence.record("peak memory while loading", loaded.share, unit=limit.unit, source=loaded.source)
    assert peak <= limit
