"""Random tensor: bf16 numbers drawn on the device, their mean and deviation, and whether copying changes a bit."""

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
    """Random numbers: their device, type and moments."""

    device: str
    dtype: str
    mean: float
    deviation: float
    changed: int
    """Values of which a bit differs after a copy to the CPU and back."""


def draw(device: Device) -> Sample:
    """Draw standard normal numbers in bf16 on the device, copy them to the CPU and back, and take moments in fp64."""
    import torch

    generator = torch.Generator(device.name).manual_seed(SEED)
    numbers = torch.randn(VALUES, dtype=torch.bfloat16, device=device.name, generator=generator)
    on_cpu = numbers.cpu()
    back = on_cpu.to(device.name)
    return Sample(
        device=str(numbers.device),
        dtype=str(numbers.dtype).removeprefix("torch."),
        mean=float(on_cpu.double().mean()),
        deviation=float(on_cpu.double().std()),
        changed=int(numerics.differing(back, numbers)),
    )
