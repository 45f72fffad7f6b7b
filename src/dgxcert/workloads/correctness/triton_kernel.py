"""Triton kernel: compiled by this machine's Triton for its GPU, with an integer result that must be exact."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import torch_compile

if TYPE_CHECKING:
    import torch

LENGTH = 100_003
"""No multiple of a block, so that the last block is masked."""
BLOCK = 1024
FACTOR = 3

tl: Any = None
"""`triton.language`, once `build` has imported it: Triton looks it up among the globals of a kernel's module."""


def build() -> Any:
    """The kernel `out = left * factor + right` over integers; Triton compiles it when it is launched."""
    global tl
    tl = import_module("triton.language")

    # Defined here because Triton may not be installed where this module is imported.
    def multiply_add(left, right, out, length, factor: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]  # the types are Triton's
        offsets = tl.program_id(0) * block + tl.arange(0, block)
        mask = offsets < length
        product = tl.load(left + offsets, mask=mask) * factor
        tl.store(out + offsets, product + tl.load(right + offsets, mask=mask), mask=mask)

    return import_module("triton").jit(multiply_add)


def wrong_numbers(device: Device, evidence: Recorder) -> int:
    """Compile and run the kernel; the number of wrong values, those behind the end included.

    Raises Wrong where Triton or ptxas refuses, Inconclusive where there is no C compiler.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(3)
    left, right = (torch.randint(-(2**20), 2**20, (LENGTH,), generator=generator, dtype=torch.int32) for _ in range(2))
    out = torch.zeros(LENGTH + BLOCK, dtype=torch.int32, device=device.name)
    with torch_compile.fresh_caches(), torch_compile.refusals(evidence):
        _launch(build(), left.to(device.name), right.to(device.name), out)
    device.wait()
    return wrong_in(out.cpu(), left, right)


def wrong_in(out: "torch.Tensor", left: "torch.Tensor", right: "torch.Tensor") -> int:
    """How many values of `out` differ from those computed on the CPU; behind the end they must still be zero."""
    from torch.nn.functional import pad

    return int((out != pad(left * FACTOR + right, (0, BLOCK))).sum())


def _launch(kernel: Any, left: "torch.Tensor", right: "torch.Tensor", out: "torch.Tensor") -> None:
    import torch

    blocks = -(-LENGTH // BLOCK)
    with torch.cuda.device_of(out):  # Triton launches on the current device, not on that of its arguments
        kernel[(blocks,)](left, right, out, LENGTH, factor=FACTOR, block=BLOCK)
