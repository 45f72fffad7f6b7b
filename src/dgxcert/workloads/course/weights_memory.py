"""Weights memory: what a parameter takes in 16 and in 4 bits, measured on real weights of the shape of a 7 B model."""

import dataclasses
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware import rooflines
from dgxcert.workloads.models import architectures, seeded
from dgxcert.workloads.models.architectures import Shape

if TYPE_CHECKING:
    import torch

COURSE_PARAMETERS = 7e9
COURSE = "the course says 14 GB in FP16 and 3.5 GB in INT4 for 7 B parameters"
GB = 1e9
BYTE_PER_PARAMETER = "byte/parameter"

IN_16_BITS = Limit(
    name="memory of a parameter in fp16",
    min=1.98,
    max=2.04,
    unit=BYTE_PER_PARAMETER,
    source=f"16 bits are two bytes; 2 % for tables and the allocator's rounding; {COURSE}",
)
IN_4_BITS = Limit(
    name="memory of a weight in NF4",
    min=0.5,
    max=0.58,
    unit=BYTE_PER_PARAMETER,
    source="4 bits and a scale of 32 bits for each 64 weights are 0.5625 bytes, half a byte with no scales at all; 3 % "
    f"for tables and the allocator's rounding; {COURSE}",
)


@dataclass(frozen=True)
class Taken:
    """Bytes that a model took in either precision, on the device; `rest_bytes` of the second are not in 4 bits."""

    shape: Shape
    whole: bool
    fp16_bytes: int
    int4_bytes: int
    rest_bytes: int
    how: str

    @property
    def per_parameter(self) -> float:
        """Bytes of a parameter in fp16."""
        return self.fp16_bytes / self.shape.parameters

    @property
    def per_weight(self) -> float:
        """Bytes of a weight of the layers in NF4, its share of the scales included."""
        return (self.int4_bytes - self.rest_bytes) / self.shape.layer_parameters

    @property
    def fp16_gb(self) -> float:
        """What 7 B such parameters take in fp16, in GB."""
        return self.per_parameter * COURSE_PARAMETERS / GB

    @property
    def int4_gb(self) -> float:
        """What 7 B such weights take in NF4, in GB."""
        return self.per_weight * COURSE_PARAMETERS / GB

    @property
    def says(self) -> str:
        """How it was measured, as evidence."""
        size = (
            f"{self.shape.layers} layers of width {self.shape.hidden}, {self.shape.parameters / 1e9:.3f} B parameters"
        )
        return f"{self.how}; {size}{'' if self.whole else ', a smaller shape than 7 B'}"


def measure(device: Device, model: str) -> Taken:
    """Build the largest shape that fits, in fp16 and then in NF4, and count what each takes.

    Raises Inconclusive where not even one layer fits.
    """
    asked = architectures.find(model)
    shape = fitting(device, asked)
    fp16, _ = _taken(device, shape, "fp16")
    int4, rest = _taken(device, shape, "nf4")
    how = "growth of torch.cuda.memory_allocated()" if device.kind == "cuda" else "bytes of all tensors of the model"
    return Taken(shape, shape.parameters > 6e9, fp16, int4, rest, how)


def fitting(device: Device, asked: Shape) -> Shape:
    """The shape with as many layers as memory allows, halved until they fit; decided before anything is taken."""
    layers, compute = asked.layers, numerics.compute_precision("nf4", device.kind)
    while True:
        shape = dataclasses.replace(asked, layers=layers)
        needed = max(seeded.size_bytes(shape, *precisions) for precisions in (("fp16", "fp16"), ("nf4", compute)))
        if needed <= allocation.allowed_bytes(device) or layers == 1:
            allocation.require(device, needed, f"{layers} layers of a 7 B model")
            return shape
        layers //= 2


def _taken(device: Device, shape: Shape, precision: str) -> tuple[int, int]:
    """Bytes that building the model takes, and those of them that belong to what is never in 4 bits."""
    gc.collect()
    before = _allocated(device)
    model = seeded.build(device, shape, precision)
    device.wait()
    taken = _allocated(device) - before if device.kind == "cuda" else _stored(model)
    if taken <= 0:
        raise Inconclusive(f"building a model of {shape.parameters / 1e9:.3f} B parameters took no memory that shows")
    compute = numerics.compute_precision(precision, device.kind)
    outside = shape.parameters - shape.layer_parameters
    del model
    device.release()
    return taken, int(outside * rooflines.BYTES[compute])


def _allocated(device: Device) -> int:
    if device.kind != "cuda":
        return 0
    import torch

    return int(torch.cuda.memory_allocated(device.index))


def _stored(model: Any) -> int:
    """Bytes of every parameter and buffer, a 4-bit one with its scales and tables; what two share counts once."""
    tensors: list[torch.Tensor] = []
    for each in (*model.parameters(), *model.buffers()):
        state = getattr(each, "quant_state", None)
        scales = () if state is None else vars(state).values()
        tensors += [part for part in (each, *scales) if hasattr(part, "untyped_storage")]
    storages = [each.untyped_storage() for each in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
