"""Repeatability: the same seeded training gives the same adapters, bit for bit, and one flipped bit does not.

Equal adapters may be equally wrong: the gradients of the first step are compared with exact ones as well.

It runs in a process of its own, `python -m dgxcert.workloads.training.repeatability KIND INDEX`.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import allocation
from dgxcert.workloads.models import seeded
from dgxcert.workloads.models.architectures import Shape
from dgxcert.workloads.training import exact_gradients, gradients
from dgxcert.workloads.training.gradients import Agreement

if TYPE_CHECKING:
    import torch

SEED = 31
TIMEOUT_S = 300.0
GPU_NEEDS_BYTES = 6 * allocation.GIB
"""Weights 0.3 GiB, activations of 8192 tokens 3, fp32 logits and their gradients 1; the rest is margin."""
WORKSPACE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""Eight buffers of 4096 KiB. cuBLAS gives the same bits from call to call only with a workspace of fixed size, and
torch's deterministic algorithms refuse a matmul without one. It is read before the first use of the GPU, so it must be
in the environment when the process starts."""


@dataclass(frozen=True)
class Sizes:
    """The training: a Llama of real widths and few layers, `batch` rows of `length` random tokens per step."""

    shape: Shape
    precision: str
    batch: int
    length: int
    steps: int


SIZES = {
    "cuda": Sizes(Shape(8192, 2048, 2, 16, 8, 128, 8192, tied=False), "bf16", batch=8, length=1024, steps=20),
    "cpu": Sizes(Shape(1024, 256, 2, 4, 2, 64, 768, tied=False), "fp32", batch=2, length=48, steps=4),
}


@dataclass(frozen=True)
class Repeats:
    """SHA-256 of the adapters of two equal trainings, and of one in which a single bit of one weight was flipped."""

    first: str
    second: str
    flipped: str
    steps: int
    gradients: Agreement
    """How the gradients of the first step of the first training agree with exact ones."""
    precision: str

    @property
    def equal(self) -> bool:
        """Whether the two equal trainings gave the same adapters."""
        return self.first == self.second

    @property
    def flip_seen(self) -> bool:
        """Whether the flipped bit changed the adapters.

        >>> same = Agreement(0.0, "lora_A", 1.0, "lora_A", tensors=12)
        >>> Repeats("5f2b", second="5f2b", flipped="91c0", steps=20, gradients=same, precision="bf16").flip_seen
        True
        """
        return self.flipped not in (self.first, self.second)

    def require_sensitivity(self) -> None:
        """Raise Inconclusive where the flipped bit does not show: equal adapters would prove nothing."""
        if not self.flip_seen:
            raise Inconclusive(
                "the flipped bit of one weight did not change the adapters: this training is insensitive to faults",
                "Run the check again; if it stays insensitive, report it with the run folder.",
            )


def run(device: Device) -> Repeats:
    """Train three times in a process of its own; raises Inconclusive with its last line where that fails."""
    if device.kind == "cuda":
        allocation.require(device, GPU_NEEDS_BYTES, "training twice")
    # Deterministic algorithms are switched on for a whole process, and other checks must not run with them.
    args = [sys.executable, "-P", "-m", "dgxcert.workloads.training.repeatability", device.kind, str(device.index)]
    completed = command.run(args, timeout_s=TIMEOUT_S, env={**os.environ, **WORKSPACE})
    if completed.returncode != 0:
        raise Inconclusive(f"the training failed: {completed.complaint}")
    try:
        return _parse(completed.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError, TypeError, KeyError) as error:
        raise Inconclusive(f"the training printed no result: {completed.stdout[-200:]!r}") from error


def _parse(line: str) -> Repeats:
    """Read what `main` printed; raises ValueError, TypeError or KeyError for anything else."""
    printed = json.loads(line)
    return Repeats(**{**printed, "gradients": Agreement(**printed["gradients"])})


def train_thrice(device: Device, sizes: Sizes) -> Repeats:
    """Two equal trainings and one with a flipped bit, in this process, whose settings it changes for good."""
    import torch

    torch.use_deterministic_algorithms(True)
    if device.kind == "cpu":
        torch.set_num_threads(1)  # several threads would split sums, and add up the parts, in a varying order
    agreements: list[Agreement] = []
    first = _adapters_after(device, sizes, compare=agreements.append)
    second, flipped = (_adapters_after(device, sizes, flip=flip) for flip in (False, True))
    return Repeats(first, second, flipped, sizes.steps, agreements[0], sizes.precision)


def _adapters_after(
    device: Device, sizes: Sizes, *, flip: bool = False, compare: "Callable[[Agreement], None] | None" = None
) -> str:
    """SHA-256 of the adapters of one training, from the same seeds each time.

    `compare` gets the agreement of the first step's gradients with exact ones.
    """
    import torch

    torch.manual_seed(SEED)
    model = _build_model(device, sizes)
    if flip:
        flip_lowest_bit(model.get_submodule("base_model.model.model.layers.0.mlp.up_proj").weight)
    adapters = {name: values for name, values in model.named_parameters() if values.requires_grad}
    optimizer = torch.optim.AdamW(adapters.values(), lr=1e-3)
    generator = torch.Generator("cpu").manual_seed(SEED)
    for step in range(sizes.steps):
        ids = torch.randint(sizes.shape.vocabulary, (sizes.batch, sizes.length), generator=generator).to(device.name)
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        if compare is not None and step == 0:
            compare(gradients.compare(gradients.kept(adapters), exact_gradients.of_causal(model, list(ids))))
        optimizer.step()
    device.wait()
    return digest(adapters)


def _build_model(device: Device, sizes: Sizes) -> Any:
    from peft import LoraConfig, get_peft_model

    base = seeded.build(device, sizes.shape, sizes.precision)
    config = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    return gradients.with_effect(get_peft_model(base, config).train())


def flip_lowest_bit(weights: "torch.Tensor") -> None:
    """Flip the lowest mantissa bit of one weight in place: the smallest fault that memory can have."""
    import torch

    integer = {2: torch.int16, 4: torch.int32}[weights.element_size()]
    with torch.no_grad():
        weights.data.view(integer)[1, 1] ^= 1


def digest(tensors: "dict[str, torch.Tensor]") -> str:
    """SHA-256 of the names and bytes of tensors, in order."""
    import torch

    sha256 = hashlib.sha256()
    for name, values in tensors.items():
        sha256.update(name.encode())
        sha256.update(values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()


def main(kind: str, index: str) -> None:
    """Train on a device and print the hashes as one line of JSON."""
    if kind not in SIZES:
        raise SystemExit(f"unknown kind of device {kind!r}; known: {', '.join(SIZES)}")
    device = Device("cuda" if kind == "cuda" else "cpu", int(index), kind)
    sys.stdout.write(json.dumps(asdict(train_thrice(device, SIZES[kind]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
