"""GPU numerics: products, attention, 4-bit layers, memory and whole trainings are right, and the same each time."""

import pytest

from dgxcert import requirement
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention, matrix_products, memory_pattern
from dgxcert.workloads.models import nf4
from dgxcert.workloads.training import repeatability

LOOK_AT_MEMORY = (
    "On a GPU: `nvidia-smi -q -d ECC,ROW_REMAPPER` and `sudo dmesg | grep -i xid` show what the driver saw."
)


@requirement(
    "MATMUL-CORRECT",
    why="Every layer of every model is a matrix product: a wrong one spoils training and inference without an error.",
    remedy=(
        "Run it again: an error that comes and goes points at memory, one that stays at software.",
        LOOK_AT_MEMORY,
        "Always wrong: run `make setup STACK=current` and try again; wrong there too: open a hardware case.",
    ),
    tier="standard",
    takes_s=6,
    budget_s=240,
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_products_of_real_layers_are_right(device, precision, evidence):
    errors = matrix_products.layer_errors(device, precision)
    how = f"{precision} on {device.name}, the worst row, against fp64 on the CPU of the same rounded numbers"
    source = f"{how}; {numerics.worst(errors)}"
    error = evidence.record(f"{precision} layer error", max(errors.values()), unit="relative", source=source)
    assert error.within(numerics.product_tolerance(precision))


@requirement(
    "ATTENTION-CORRECT",
    why="transformers takes the fastest attention kernel that torch offers; one that is wrong spoils every generated "
    "token without an error, as cuDNN's did on one GPU for models with fewer than 8 key and value heads.",
    remedy=(
        "Look: the evidence names the kernel and the shape.",
        "Work without that kernel: call torch.backends.cuda.enable_cudnn_sdp(False), or enable_flash_sdp, or "
        "enable_mem_efficient_sdp, before the model is loaded.",
        "Use another version of torch and cuDNN: make setup STACK=current",
        "Wrong in every version: open a case with the run folder.",
    ),
    tier="standard",
    takes_s=8,
    budget_s=240,
)
def test_every_attention_kernel_on_offer_is_right(device, profile, evidence):
    found = attention.compare(device)
    offered = evidence.record("attention kernels", len(found.shapes), unit="backend", source=found.offered)
    error = evidence.record("attention error", found.share, unit="of what is allowed", source=found.worst)
    assert offered >= profile.limit("attention.backends")
    assert error.within(attention.ALLOWED)


@requirement(
    "NF4-CORRECT",
    why="QLoRA and 4-bit inference multiply by NF4 weights: wrong kernels cost quality that no error reveals.",
    remedy=(
        "Look: `python -m bitsandbytes` must end in SUCCESS and name this GPU's compute capability.",
        "Older than 0.49, which knows every Blackwell GPU: python -m pip install --upgrade 'bitsandbytes>=0.49'",
        "Products wrong and KERNEL-CORRECT too: see there first.",
    ),
    tier="standard",
    takes_s=8,
    budget_s=240,
)
def test_four_bit_layers_are_right(device, evidence):
    layers = nf4.samples(device)
    products, changes = nf4.product_errors(device, layers), nf4.quantisation_errors(layers)
    how = f"bitsandbytes on {device.name}, against fp64 on the CPU of the dequantised weights"
    product = evidence.record("NF4 product error", max(products.values()), unit="relative", source=how)
    least = evidence.record("least NF4 quantisation error", min(changes.values()), unit="relative", source=how)
    most = evidence.record("largest NF4 quantisation error", max(changes.values()), unit="relative", source=how)
    blocks = nf4.worst_blocks(layers)
    block = evidence.record("NF4 quantisation error of a block", max(blocks.values()), unit="relative", source=how)
    assert product.within(numerics.product_tolerance("nf4"))
    assert block.within(nf4.BLOCK_QUANTISATION)
    assert least.within(nf4.QUANTISATION)
    assert most.within(nf4.QUANTISATION)


@requirement(
    "MEMORY-PATTERN",
    why="Weights, optimiser states and caches stay in memory for hours: one bit that does not spoils a training.",
    remedy=(
        LOOK_AT_MEMORY,
        "End all other work, shut down, start again and run it once more: `dgxcert validate --only MEMORY-PATTERN`.",
        "Wrong again: open a hardware case with the run folder; no software repairs a bad memory cell.",
    ),
    tier="standard",
    takes_s=6,
    budget_s=300,
)
def test_memory_keeps_what_is_written(device, profile, evidence):
    least = profile.limit("memory.pattern")
    memory = memory_pattern.take(device, profile.workloads.memory_pattern, least)
    wrong = memory_pattern.count_wrong(memory)
    per_pattern = ", ".join(f"{pattern} {count}" for pattern, count in wrong.items())
    blocks = f"{len(memory.blocks)} blocks on {device.name}"
    looked_at = evidence.record("memory looked at", memory.gib, unit="GiB", source=blocks)
    words = evidence.record("wrong words", sum(wrong.values()), unit=f"of {memory.words}", source=per_pattern)
    assert words == 0
    assert looked_at >= least


@requirement(
    "TRAINING-REPEATS",
    why="A device that computes differently now and then ruins long trainings, and no single product shows it.",
    remedy=(
        "Run it again: `dgxcert validate --only TRAINING-REPEATS`. Different each time: the device errs now and then.",
        LOOK_AT_MEMORY,
        "Let it cool and take away any overclocking or undervolting: nvidia-smi -q -d CLOCK,POWER,TEMPERATURE",
        "Still different: open a hardware case with the run folder.",
    ),
    tier="standard",
    takes_s=30,
    budget_s=420,
)
def test_the_same_training_gives_the_same_adapters(device, evidence):
    runs = repeatability.run(device)
    source = f"SHA-256 of LoRA adapters after {runs.steps} seeded steps on {device.name}"
    evidence.record("planted bit flip seen", runs.flip_seen, source=f"{source}, one bit of one weight flipped")
    equal = evidence.record(
        "adapters equal bit for bit", runs.equal, source=f"{source}: {runs.first[:16]}, {runs.second[:16]}"
    )
    assert equal.holds()
    runs.require_sight()
