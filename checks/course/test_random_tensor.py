"""Course tensor: random bf16 numbers are on the device, have the right distribution, and move unchanged."""

from dgxcert import requirement
from dgxcert.probes.stack import base_image
from dgxcert.workloads.course import random_tensor


@requirement(
    "COURSE-BF16-TENSOR",
    title="A random bf16 tensor on the device is right",
    why="Every notebook starts with a tensor on the device: wrong random numbers spoil a model's initial weights and "
    "its dropout, and a wrong copy spoils every loaded model.",
    remedy=(
        "In `make shell`, run `python -c \"import torch; print(torch.randn(9, device='cuda', "
        'dtype=torch.bfloat16))"`.',
        "Run `make validate ONLY=GPU-CUDA,BF16-CORRECT` where the error names CUDA.",
        *base_image.OTHER_TORCH,
    ),
    budget_s=180,
)
def test_a_random_bf16_tensor_is_right(device, evidence):
    sample = random_tensor.draw(device)
    source = f"{random_tensor.VALUES} values of torch.randn on {device.name}, compared in fp64"
    round_trip = "copied to the CPU and back, bit for bit"
    place = evidence.record("device of the tensor", sample.device, source=source)
    dtype = evidence.record("type of the tensor", sample.dtype, source=source)
    mean = evidence.record("mean", sample.mean, source=source)
    deviation = evidence.record("standard deviation", sample.deviation, source=source)
    changed = evidence.record("changed values", sample.changed, source=round_trip)
    assert place == device.name
    assert dtype == "bfloat16"
    assert mean.within(random_tensor.MEAN)
    assert deviation.within(random_tensor.DEVIATION)
    assert changed == 0
