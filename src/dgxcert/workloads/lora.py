"""LoRA: training steps per second of low-rank adapters on a frozen model, by PEFT and AdamW."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dgxcert.device import Device
from dgxcert.evidence import Recorder
from dgxcert.limit import Limit
from dgxcert.profile import Profile
from dgxcert.rounds import Work
from dgxcert.sizes import Lora
from dgxcert.workloads import ceiling, models, roofline, room, shapes, text
from dgxcert.workloads.roofline import Peaks

if TYPE_CHECKING:
    import torch

TARGETS = ["q_proj", "v_proj"]
OF_LOSS_BEFORE = "of loss before"
LOSS_FALLS = Limit(
    name="loss falls", max=0.99, unit=OF_LOSS_BEFORE, source="random weights leave so much to learn that 1 % is little"
)


class Training:
    """Adapters of one rank on a frozen model, and the batches that they are trained on.

    The model is built afresh: one that has already inferred on a CPU may carry repacked weights, whose
    gradients are lost without an error.
    """

    def __init__(self, device: Device, profile: Profile, precision: str) -> None:
        import torch
        from peft import LoraConfig, get_peft_model

        sizes = profile.workloads.lora
        shape = shapes.find(sizes.model)
        room.require(device, _state_bytes(shape, sizes, precision), "training")
        self.device, self._sizes = device, sizes
        base = models.build(device, shape, precision)
        adapters = LoraConfig(r=sizes.rank, lora_alpha=2 * sizes.rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        self._model: Any = get_peft_model(base, adapters).train()
        self._adapters = {name: each for name, each in self._model.named_parameters() if each.requires_grad}
        self._optimizer = torch.optim.AdamW(self._adapters.values(), lr=sizes.learning_rate)
        self._batches = self._read_batches(shape.vocabulary)
        self._first = next(self._batches)
        self._loss_before = self._loss(self._first)
        cost = roofline.lora(shape, precision, sizes.batch * sizes.length)
        self.work = Work(
            device,
            1.0,
            roofline=cost.bound(1.0, "step/s", Peaks.of(profile, precision)),
            ceiling=cost.bound(1.0, "step/s", ceiling.peaks(device, profile, precision)),
        )

    def _read_batches(self, vocabulary: int) -> "Iterator[torch.Tensor]":
        """Token ids of shape (batch, length), over and over."""
        from torch.utils.data import DataLoader

        rows: Any = text.rows(self._sizes.length, vocabulary)
        loader = DataLoader(rows, batch_size=self._sizes.batch, drop_last=True)
        return (batch["input_ids"].to(self.device.name) for batch in itertools.cycle(list(loader)))

    def _loss(self, ids: "torch.Tensor") -> float:
        import torch

        with torch.no_grad():
            return float(self._model(input_ids=ids, labels=ids).loss)

    def run(self) -> None:
        """One training step; returns when the device is done."""
        ids = next(self._batches)
        self._optimizer.zero_grad()
        self._model(input_ids=ids, labels=ids).loss.backward()
        self._optimizer.step()
        self.device.wait()

    def verify(self, evidence: Recorder) -> None:
        """Every adapter has a gradient that is finite and not zero, and the loss fell; raises Wrong."""
        source = "all adapter matrices after the last timed step"
        still = sum(not learns(adapter.grad) for adapter in self._adapters.values())
        found = evidence.record("adapters without a gradient", still, unit=f"of {len(self._adapters)}", source=source)
        evidence.require(found == 0)
        after = self._loss(self._first)
        how = f"first batch: {self._loss_before:.4f} before, {after:.4f} after"
        fall = evidence.record("loss after training", after / self._loss_before, unit=OF_LOSS_BEFORE, source=how)
        evidence.require(fall.within(LOSS_FALLS))


def learns(gradient: "torch.Tensor | None") -> bool:
    """Whether a gradient is there, finite, and not all zeros."""
    return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())


def _state_bytes(shape: shapes.Shape, sizes: Lora, precision: str) -> float:
    """Weights, activations kept for the backward pass (about 34 values per token, hidden unit and layer), logits."""
    tokens = sizes.batch * sizes.length
    width = roofline.BYTES[precision]
    activations = 34 * tokens * shape.hidden * shape.layers * width
    logits = 3 * tokens * shape.vocabulary * 4.0
    return models.size_bytes(shape, precision, precision) + activations + logits + room.GIB


def prepare(device: Device, profile: Profile, precision: str) -> Training:
    """The training that a profile asks for."""
    return Training(device, profile, precision)
