"""Triton kernel: one that this machine's Triton compiles for this very GPU, with a result that must be exact."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import torch_compile

if TYPE_CHECKING:
    import torch

LENGTH = 100_003
"""No multiple of a block, so that the last one is masked."""
BLOCK = 1024
FACTOR = 3

tl: Any = None
"""Triton's language, once `build` has found it: Triton looks it up among the names of a kernel's module."""


def build() -> Any:
    """The kernel, still to be compiled: `out = left * factor + right` over whole numbers.

    It is made here because Triton may be missing where this module is imported.
    """
    global tl
    tl = import_module("triton.language")

    def multiply_add(left, right, out, length, factor: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]  # the types are Triton's
        where = tl.program_id(0) * block + tl.arange(0, block)
        inside = where < length
        product = tl.load(left + where, mask=inside) * factor
        tl.store(out + where, product + tl.load(right + where, mask=inside), mask=inside)

    return import_module("triton").jit(multiply_add)


def wrong_numbers(device: Device, evidence: Recorder) -> int:
    """Compile, run, and count the numbers that are not exactly right, those behind the end included.

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
    """How many numbers of `out` are not what the CPU computes; beyond the end they must still be zero."""
    from torch.nn.functional import pad

    return int((out != pad(left * FACTOR + right, (0, BLOCK))).sum())


def _launch(kernel: Any, left: "torch.Tensor", right: "torch.Tensor", out: "torch.Tensor") -> None:
    import torch

    blocks = -(-LENGTH // BLOCK)
    with torch.cuda.device_of(out):  # Triton launches on the current device, wherever its arguments lie
        kernel[(blocks,)](left, right, out, LENGTH, factor=FACTOR, block=BLOCK)
