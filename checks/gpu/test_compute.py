"""GPU compute: CUDA works from torch, and what the device computes is right."""

from dgxcert import requirement
from dgxcert.probes import cuda
from dgxcert.workloads import kernel, numerics


@requirement(
    "GPU-CUDA",
    why="Every Hugging Face library asks torch.cuda.is_available() and silently uses the CPU when it says no.",
    remedy=(
        "Run `python -c 'import torch; print(torch.version.cuda); torch.cuda.init()'` and read the last line.",
        "torch.version.cuda is None: a CPU build of torch is installed; use the container, or install a CUDA build.",
        "The driver is older than torch's CUDA: install driver branch 580 or newer, then restart: sudo reboot",
    ),
    takes_s=6,
    budget_s=120,
)
def test_torch_sees_every_gpu_of_the_driver(profile, evidence):
    found = cuda.read()
    available = evidence.record("torch.cuda.is_available()", found.available, source=found.build)
    assert available.holds()
    count = evidence.record("GPUs of torch", found.count, unit="GPU", source="torch.cuda.device_count()")
    assert count.within(profile.gpu_count)


@requirement(
    "KERNEL-CORRECT",
    why="A device that computes wrong numbers without an error trains models that are quietly broken.",
    remedy=(
        "Run it again: an error that comes and goes points at memory, one that stays at software.",
        "On a GPU: `nvidia-smi -q -d ECC,ROW_REMAPPER` and `sudo dmesg | grep -i xid` show what the driver has noticed.",
        "Wrong with another version of the stack too (`make setup STACK=current`): open a hardware case.",
    ),
    takes_s=8,
    budget_s=180,
)
def test_the_device_computes_the_right_answer(device, evidence):
    product = kernel.product_error(device, "fp32")
    softmax = kernel.softmax_error(device)
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
    error = kernel.product_error(device, "bf16")
    source = f"bf16 on {device.name}, against fp64 on the CPU of the same rounded numbers"
    found = evidence.record("bf16 product error", error, unit="relative", source=source)
    assert found.within(numerics.product_tolerance("bf16"))
