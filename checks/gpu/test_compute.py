"""GPU compute: the device computes correct results in fp32 and bf16."""

from dgxcert import requirement
from dgxcert.probes.stack import base_image
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import linear_layers


@requirement(
    "KERNEL-CORRECT",
    title="The device computes matmul and softmax correctly",
    why="A device that computes wrong numbers without an error trains models that are silently broken.",
    remedy=(
        "Run it again: an error that comes and goes points at hardware, one that stays at software.",
        "Read what the driver of a GPU recorded: nvidia-smi -q -d ECC,ROW_REMAPPER; sudo dmesg | grep -i xid",
        *base_image.OTHER_TORCH,
    ),
    takes_s=0.5,
    budget_s=180,
)
def test_the_device_computes_the_right_answer(device, evidence):
    matmul = linear_layers.matmul_error(device, "fp32")
    softmax = linear_layers.softmax_error(device)
    source = f"fp32 on {device.name}, compared with fp64 on the CPU"
    matmul_error = evidence.record("matrix product error", matmul, unit="relative", source=source)
    softmax_error = evidence.record("softmax error", softmax, unit="relative", source=source)
    assert matmul_error.within(numerics.matmul_tolerance("fp32"))
    assert softmax_error.within(numerics.matmul_tolerance("fp32"))


@requirement(
    "BF16-CORRECT",
    title="bf16 is supported and computed correctly",
    why="Almost all training and inference of language models runs in bf16.",
    remedy=(
        "In `make shell`: python -c 'import torch; print(torch.cuda.is_bf16_supported())'",
        "Use fp16 and a profile without bf16 if it prints False: the GPU is older than Ampere.",
        "See KERNEL-CORRECT if it prints True and the result is wrong.",
    ),
    takes_s=0.5,
    budget_s=120,
)
def test_bf16_is_supported_and_right(device, evidence):
    is_supported = linear_layers.supports_bf16(device)
    supported = evidence.record("bf16 supported", is_supported, source=f"torch, {device.product}")
    error = linear_layers.matmul_error(device, "bf16")
    source = f"bf16 on {device.name}, compared with fp64 on the CPU of the same rounded inputs"
    matmul_error = evidence.record("bf16 product error", error, unit="relative", source=source)
    assert supported.holds()
    assert matmul_error.within(numerics.matmul_tolerance("bf16"))
