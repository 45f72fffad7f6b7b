"""Random tensor: bf16 numbers drawn on the device, their moments, and whether moving them changes a bit."""

from dataclasses import dataclass

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

VALUES = 2**20
SEED = 25

MEAN = Limit(
    name="mean of a standard normal",
    min=-0.006,
    max=0.006,
    unit="",
    source=f"0, with a standard error of 0.001 for {VALUES} values; six of those",
)
DEVIATION = Limit(
    name="standard deviation of a standard normal",
    min=0.994,
    max=1.006,
    unit="",
    source=f"1, with a standard error of 0.0007 for {VALUES} values and 0.00001 from rounding to 8 bits; six of those",
)


@dataclass(frozen=True)
class Sample:
    """Where the numbers lie, of which type they are, their moments, and how many came back changed from the CPU."""

    device: str
    dtype: str
    mean: float
    deviation: float
    changed: int


def draw(device: Device) -> Sample:
    """Draw standard normal numbers in bf16 on the device, look at them in fp64, and move them there and back."""
    import torch

    generator = torch.Generator(device.name).manual_seed(SEED)
    numbers = torch.randn(VALUES, dtype=torch.bfloat16, device=device.name, generator=generator)
    copy = numbers.cpu()
    back = copy.to(device.name)
    return Sample(
        device=str(numbers.device),
        dtype=str(numbers.dtype).removeprefix("torch."),
        mean=float(copy.double().mean()),
        deviation=float(copy.double().std()),
        changed=int(numerics.differing(back, numbers)),
    )
