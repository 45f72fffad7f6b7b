"""Weights memory: bytes per parameter in 16 and in 4 bits, measured on a model of the shape of a 7 B one."""

import dataclasses
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import allocation, numerics
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
class WeightsMemory:
    """Bytes that a model takes on the device in fp16 and with NF4 layers.

    >>> shape = architectures.find("llama-2-7b")
    >>> nf4 = int(0.5625 * shape.layer_parameters)
    >>> memory = WeightsMemory(shape, True, 2 * shape.parameters, nf4, 0, "bytes of all tensors of the model")
    >>> memory.fp16_gb, round(memory.nf4_gb, 2)
    (14.0, 3.94)
    """

    shape: Shape
    full_size: bool
    """Whether the shape is that of a whole 7 B model."""
    fp16_bytes: int
    nf4_bytes: int
    outside_bytes: int
    """Of `nf4_bytes`: embeddings, head and norms, which are never quantised."""
    method: str

    @property
    def per_parameter(self) -> float:
        """Bytes per parameter in fp16."""
        return self.fp16_bytes / self.shape.parameters

    @property
    def per_weight(self) -> float:
        """Bytes per weight of the NF4 layers, scales included."""
        return (self.nf4_bytes - self.outside_bytes) / self.shape.layer_parameters

    @property
    def fp16_gb(self) -> float:
        """GB of 7 B parameters in fp16."""
        return self.per_parameter * COURSE_PARAMETERS / GB

    @property
    def nf4_gb(self) -> float:
        """GB of 7 B weights in NF4."""
        return self.per_weight * COURSE_PARAMETERS / GB

    @property
    def source(self) -> str:
        """How it was measured, and on which shape, as evidence states it."""
        size = (
            f"{self.shape.layers} layers of width {self.shape.hidden}, {self.shape.parameters / 1e9:.3f} B parameters"
        )
        return f"{self.method}; {size}{'' if self.full_size else ', a smaller shape than 7 B'}"


def measure(device: Device, model: str) -> WeightsMemory:
    """Build the largest shape that fits, in fp16 and then in NF4, and count the bytes that each takes.

    Raises Inconclusive where not even one layer fits.
    """
    shape = largest_that_fits(device, architectures.find(model))
    fp16, _ = _built_bytes(device, shape, "fp16")
    nf4, outside = _built_bytes(device, shape, "nf4")
    method = "growth of torch.cuda.memory_allocated()" if device.kind == "cuda" else "bytes of all tensors of the model"
    return WeightsMemory(shape, shape.parameters > 6e9, fp16, nf4, outside, method)


def largest_that_fits(device: Device, model: Shape) -> Shape:
    """The shape of a model with its layers halved until it fits; decided before memory is allocated.

    Raises Inconclusive where not even one layer fits.
    """
    layers, compute = model.layers, numerics.compute_precision("nf4", device.kind)
    while True:
        shape = dataclasses.replace(model, layers=layers)
        needed = max(seeded.size_bytes(shape, *precisions) for precisions in (("fp16", "fp16"), ("nf4", compute)))
        if needed <= allocation.allowed_bytes(device) or layers == 1:
            allocation.require(device, needed, f"{layers} layers of a 7 B model")
            return shape
        layers //= 2


def _built_bytes(device: Device, shape: Shape, precision: str) -> tuple[int, int]:
    """Bytes that a built model takes, and those of them outside its layers, which are never in 4 bits."""
    gc.collect()  # an earlier model that is freed while this one is built would count as negative
    before = _allocated(device)
    model = seeded.build(device, shape, precision)
    device.wait()
    built = _allocated(device) - before if device.kind == "cuda" else _stored_bytes(model)
    if built <= 0:
        raise Inconclusive(f"the allocator showed no growth for a model of {shape.parameters / 1e9:.3f} B parameters")
    compute = numerics.compute_precision(precision, device.kind)
    outside = shape.parameters - shape.layer_parameters
    del model
    device.release()
    return built, int(outside * architectures.BYTES[compute])


def _allocated(device: Device) -> int:
    if device.kind != "cuda":
        return 0
    import torch

    return int(torch.cuda.memory_allocated(device.index))


def _stored_bytes(model: Any) -> int:
    """Bytes of all parameters and buffers, NF4 scales and tables included; a shared storage counts once."""
    tensors: list[torch.Tensor] = []
    for tensor in (*model.parameters(), *model.buffers()):
        state = getattr(tensor, "quant_state", None)  # bitsandbytes keeps scales and table beside the 4-bit tensor
        scales = () if state is None else vars(state).values()
        tensors += [part for part in (tensor, *scales) if hasattr(part, "untyped_storage")]
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
