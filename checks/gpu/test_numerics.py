"""GPU numerics: matmul, attention, NF4 and memory are correct, and a repeated training gives the same weights."""

import pytest

from dgxcert import requirement
from dgxcert.probes.stack import base_image, lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import attention, backward_passes, linear_layers, memory_pattern
from dgxcert.workloads.correctness.rounding import UNIT
from dgxcert.workloads.models import nf4
from dgxcert.workloads.training import gradients, repeatability

CHECK_ERRORS = "Read what the driver of a GPU recorded: nvidia-smi -q -d ECC,ROW_REMAPPER; sudo dmesg | grep -i xid"


@requirement(
    "MATMUL-CORRECT",
    title="Matmul of real layer shapes is correct",
    why="Every layer of a transformer is a matmul: a wrong one spoils training and inference without an error.",
    remedy=(
        "Run it again: an error that comes and goes points at hardware, one that stays at software.",
        CHECK_ERRORS,
        *base_image.OTHER_TORCH,
    ),
    tier="standard",
    takes_s=2,
    budget_s=240,
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_matmul_of_real_layers_is_right(device, precision, evidence):
    errors = linear_layers.layer_errors(device, precision)
    reference = f"{precision} on {device.name}, the worst row, compared with fp64 on the CPU of the same rounded inputs"
    source = f"{reference}; {numerics.worst(errors)}"
    error = evidence.record(f"{precision} layer error", max(errors.values()), unit="relative", source=source)
    assert error.within(numerics.matmul_tolerance(precision))


@requirement(
    "ATTENTION-CORRECT",
    title="Every attention kernel that torch offers is correct, forward and backward",
    why="transformers takes the fastest attention kernel that torch offers; one that is wrong spoils every generated "
    "token or every training step without an error, as cuDNN's did on one GPU for models with fewer than 8 key and "
    "value heads.",
    remedy=(
        "Read the kernel and the shape in the evidence of this requirement.",
        "Disable that kernel before the model is loaded: torch.backends.cuda.enable_cudnn_sdp(False), or "
        "enable_flash_sdp(False), or enable_mem_efficient_sdp(False).",
        *base_image.OTHER_TORCH,
        "Open a case with the run folder if it is wrong in every version.",
    ),
    tier="standard",
    takes_s=8,
    budget_s=420,
)
def test_every_attention_kernel_on_offer_is_right(device, profile, evidence):
    attended = attention.compare(device)
    kernels = evidence.record("attention kernels", len(attended.forward), unit="backend", source=attended.offered)
    trained = attended.offered_for_training
    training = evidence.record("kernels with gradients", len(attended.backward), unit="backend", source=trained)
    output = evidence.record("attention error", attended.output.error, unit=UNIT, source=attended.output.row)
    gradient = evidence.record("gradient error", attended.gradient.error, unit=UNIT, source=attended.gradient.row)
    assert kernels >= profile.limit("attention.backends")
    assert training >= profile.limit("attention.backends")
    assert output.within(profile.limit("attention.output"))
    assert gradient.within(profile.limit("attention.gradients"))


@requirement(
    "GRADIENTS-CORRECT",
    title="Gradients of the layers that training stands on are correct",
    why="A training whose gradients are wrong still runs, and its loss often still falls: to a worse model.",
    remedy=(
        "Read the layer and the gradient in the evidence of this requirement.",
        "Run it again: an error that comes and goes points at hardware, one that stays at software.",
        CHECK_ERRORS,
        "Fix MATMUL-CORRECT and NF4-CORRECT first if they fail too.",
        "Open a case with the run folder if it is wrong again.",
    ),
    tier="standard",
    takes_s=1,
    budget_s=240,
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "nf4"])
def test_gradients_of_layers_are_right(device, precision, profile, evidence):
    compared = backward_passes.compare(device, precision)
    source = f"the worst row of {compared.gradients} gradients on {device.name}, TF32 off: {compared.worst.row}"
    error = evidence.record(f"{precision} gradient error", compared.worst.error, unit=UNIT, source=source)
    assert error.within(profile.limit("gradients"))


@requirement(
    "NF4-CORRECT",
    title="NF4 layers are quantised and multiplied correctly",
    why="QLoRA and 4-bit inference multiply by NF4 weights: wrong kernels cost quality that no error reveals.",
    remedy=(
        "In `make shell`, run `python -m bitsandbytes`: it must end in SUCCESS and name this GPU's compute capability.",
        *lockfile.RESTORE,
        "Fix KERNEL-CORRECT first if it fails too.",
    ),
    tier="standard",
    takes_s=1.5,
    budget_s=240,
)
def test_nf4_layers_are_right(device, evidence):
    layers = nf4.samples(device)
    errors, changes = nf4.matmul_errors(device, layers), nf4.quantisation_errors(layers)
    source = f"bitsandbytes on {device.name}, compared with fp64 on the CPU of the dequantised weights"
    matmul = evidence.record("NF4 product error", max(errors.values()), unit="relative", source=source)
    least = evidence.record("least NF4 quantisation error", min(changes.values()), unit="relative", source=source)
    most = evidence.record("largest NF4 quantisation error", max(changes.values()), unit="relative", source=source)
    blocks = nf4.worst_blocks(layers)
    block = evidence.record("NF4 quantisation error of a block", max(blocks.values()), unit="relative", source=source)
    assert matmul.within(numerics.matmul_tolerance("nf4"))
    assert block.within(nf4.BLOCK_QUANTISATION)
    assert least.within(nf4.QUANTISATION)
    assert most.within(nf4.QUANTISATION)


@requirement(
    "MEMORY-PATTERN",
    title="Memory keeps the patterns that are written to it",
    why="Weights, optimiser states and caches stay in memory for hours: one flipped bit can spoil a training.",
    remedy=(
        CHECK_ERRORS,
        "Shut down, start again, and run only this: make validate ONLY=MEMORY-PATTERN",
        "Open a hardware case with the run folder if words are wrong again: software cannot repair a memory cell.",
    ),
    tier="standard",
    takes_s=3,
    budget_s=300,
)
def test_memory_keeps_what_is_written(device, profile, evidence):
    least = profile.limit("memory.pattern")
    tested = memory_pattern.take(device, profile.workloads.memory_pattern, least)
    wrong = memory_pattern.count_wrong(tested.blocks)
    source = f"{len(tested.blocks.blocks)} blocks on {device.name}"
    evidence.record("memory tested", tested.blocks.gib, unit="GiB", source=source)
    share = evidence.record(
        "share of memory tested", tested.share, unit=least.unit, source=f"{source}; {tested.source}"
    )
    per_pattern = ", ".join(f"{pattern} {count}" for pattern, count in wrong.items())
    words = evidence.record("wrong words", sum(wrong.values()), unit=f"of {tested.blocks.words}", source=per_pattern)
    assert words == 0
    assert share >= least


@requirement(
    "TRAINING-REPEATS",
    title="The same training gives the same adapters, bit for bit",
    why="A device that errs now and then ruins long trainings, and no single matmul reveals it.",
    remedy=(
        "Run it again: make validate ONLY=TRAINING-REPEATS. If adapters differ each time, the device errs.",
        "Run `make validate ONLY=ATTENTION-CORRECT,GRADIENTS-CORRECT` if gradients are wrong: their kernels err.",
        CHECK_ERRORS,
        "Let it cool, and remove any overclocking or undervolting: nvidia-smi -q -d CLOCK,POWER,TEMPERATURE",
        "Open a hardware case with the run folder if the adapters still differ.",
    ),
    tier="standard",
    takes_s=14,
    budget_s=420,
)
def test_the_same_training_gives_the_same_adapters(device, profile, evidence):
    runs = repeatability.run(device)
    source = f"SHA-256 of LoRA adapters after {runs.steps} seeded steps on {device.name}"
    evidence.record("planted bit flip detected", runs.flip_seen, source=f"{source}, one bit of one weight flipped")
    equal = evidence.record(
        "adapters equal bit for bit", runs.equal, source=f"{source}: {runs.first[:16]}, {runs.second[:16]}"
    )
    angle, size = gradients.record(evidence, runs.gradients)
    assert equal.holds()
    assert angle <= profile.limit(f"training.direction.{runs.precision}")
    assert size.within(profile.limit(f"training.size.{runs.precision}"))
    runs.require_sensitivity()
