"""No grad: what a forward pass keeps for its backward pass, and that `torch.no_grad()` makes it keep nothing."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import allocation

if TYPE_CHECKING:
    import torch

LAYERS, WIDTH, ROWS = 4, 256, 8192
FLOAT_BYTES = 4
ACTIVATION_BYTES = ROWS * WIDTH * FLOAT_BYTES
EXPECTED_BYTES = (2 * LAYERS - 1) * ACTIVATION_BYTES
"""Each layer keeps two tensors of (rows, width), its linear output and its GELU; the last GELU is the output."""
MIB = 2**20
OF_ARITHMETIC = "of arithmetic"

KEPT = Limit(
    name="activations kept for the backward pass",
    min=0.95,
    max=1.15,
    unit=OF_ARITHMETIC,
    source=f"{LAYERS} layers keep their output and its GELU, {ACTIVATION_BYTES / MIB:g} MiB each, without the output",
)
KEPT_WITHOUT = Limit(
    name="activations kept under no_grad",
    max=0.05,
    unit=OF_ARITHMETIC,
    source="without a backward pass nothing is kept; 5 % allow for the allocator's rounding",
)


@dataclass(frozen=True)
class Pass:
    """One forward pass."""

    graph: bool
    """Whether the output has a `grad_fn`."""
    requires_grad: bool
    """Whether the output requires a gradient."""
    kept_bytes: int
    """Memory that is kept in addition to input and output."""

    @property
    def kept_share(self) -> float:
        """Bytes kept, as a share of what the backward pass needs by arithmetic.

        >>> Pass(graph=False, requires_grad=False, kept_bytes=0).kept_share
        0.0
        """
        return self.kept_bytes / EXPECTED_BYTES


@dataclass(frozen=True)
class Passes:
    """The same forward pass without and with `torch.no_grad()`, and the method by which bytes were counted."""

    with_grad: Pass
    no_grad: Pass
    method: str


def compare(device: Device) -> Passes:
    """Run a stack of linear layers both ways; raises Inconclusive where memory is short."""
    import torch

    allocation.require(device, 2 * EXPECTED_BYTES + 64 * MIB, "a forward pass with its graph")
    generator = torch.Generator("cpu").manual_seed(LAYERS)
    layers = [part for _ in range(LAYERS) for part in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU())]
    model = torch.nn.Sequential(*layers).to(device.name)
    rows = torch.randn(ROWS, WIDTH, generator=generator).to(device.name)
    model(rows)  # cuBLAS takes its workspace at the first use of a shape, and keeps it
    method = (
        "growth of torch.cuda.memory_allocated()" if device.kind == "cuda" else "tensors saved for the backward pass"
    )
    return Passes(_forward(device, model, rows, nullcontext()), _forward(device, model, rows, torch.no_grad()), method)


def _forward(device: Device, model: Any, rows: "torch.Tensor", mode: AbstractContextManager[Any]) -> Pass:
    """Count what one forward pass keeps: by the allocator on a GPU, by autograd's hooks on a CPU."""
    import torch

    saved: dict[int, int] = {}

    def keep(tensor: "torch.Tensor") -> "torch.Tensor":
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    device.wait()
    if device.kind == "cuda":  # torch counts allocated bytes only there
        before = torch.cuda.memory_allocated(device.index)
        with mode:
            output = model(rows)
        kept = torch.cuda.memory_allocated(device.index) - before - ACTIVATION_BYTES
    else:
        with mode, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = model(rows)
        for other in (rows, output, *model.parameters()):
            saved.pop(other.untyped_storage().data_ptr(), None)
        kept = sum(saved.values())
    return Pass(output.grad_fn is not None, output.requires_grad, max(0, kept))
