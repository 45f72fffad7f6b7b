"""GPU compute: what the device computes is right."""

from dgxcert import requirement
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import matrix_products


@requirement(
    "KERNEL-CORRECT",
    why="A device that computes wrong numbers without an error trains models that are quietly broken.",
    remedy=(
        "Run it again: an error that comes and goes points at memory, one that stays at software.",
        "On a GPU: `nvidia-smi -q -d ECC,ROW_REMAPPER` and `sudo dmesg | grep -i xid` show what the driver saw.",
        "Wrong with another version of the stack too (`make setup STACK=current`): open a hardware case.",
    ),
    takes_s=8,
    budget_s=180,
)
def test_the_device_computes_the_right_answer(device, evidence):
    product = matrix_products.product_error(device, "fp32")
    softmax = matrix_products.softmax_error(device)
    source = f"fp32 on {device.name}, against fp64 on the CPU"
    product_error = evidence.record("matrix product error", product, unit="relative", source=source)
    softmax_error = evidence.record("softmax error", softmax, unit="relative", source=source)
    assert product_error.within(numerics.product_tolerance("fp32"))
    assert softmax_error.within(numerics.product_tolerance("fp32"))


@requirement(
    "BF16-CORRECT",
    why="Almost all training and inference of language models is done in bf16.",
    remedy=(
        "Run `python -c 'import torch; print(torch.cuda.is_bf16_supported())'`.",
        "False: the GPU is older than Ampere; use fp16 and a profile that does not ask for bf16.",
        "True but the answer is wrong: see KERNEL-CORRECT.",
    ),
    takes_s=1,
    budget_s=120,
)
def test_bf16_is_supported_and_right(device, evidence):
    native = evidence.record("bf16 supported", matrix_products.supports_bf16(device), source=f"torch, {device.product}")
    error = matrix_products.product_error(device, "bf16")
    source = f"bf16 on {device.name}, against fp64 on the CPU of the same rounded numbers"
    found = evidence.record("bf16 product error", error, unit="relative", source=source)
    assert native.holds()
    assert found.within(numerics.product_tolerance("bf16"))
