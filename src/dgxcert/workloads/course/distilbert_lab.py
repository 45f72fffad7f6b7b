"""Lab: the course's own LoRA set-up, DistilBERT that learns to tell two kinds of text apart, by transformers' Trainer.

It trains on the first GPU, as a notebook does: Trainer knows no other way to name one. The model is built afresh: one
that has already inferred may carry repacked weights, whose gradients are lost without an error.
"""

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.models import encoders, text
from dgxcert.workloads.training.gradients import learns

TARGETS = ("q_lin", "v_lin")
HEADS = ("classifier", "pre_classifier")
RANK, ALPHA = 16, 32
FAMILY = 8
"""Words of a label, which the other label never uses."""
WORDS = 24
"""Words of one text."""
AVERAGED = 4
"""Losses at the beginning and at the end that are averaged."""
OF_LOSS_BEFORE = "of loss before"

LOSS_FALLS = Limit(
    name="loss of the lab",
    max=0.5,
    unit=OF_LOSS_BEFORE,
    source="two families of words that share none: it falls below a hundredth; weights that do not train stay at 1",
)


@dataclass
class Trained:
    """What came of the training: tensors by name where something is amiss, and every logged loss."""

    strays: list[str]
    """Tensors that train and should not, or should and do not."""
    trains: int
    changed: list[str]
    """Frozen tensors of which a bit changed."""
    frozen: int
    still: list[str]
    """Tensors that train and had no gradient, one of zeros, or one that is not finite, at the last step."""
    losses: list[float] = field(default_factory=list)

    @property
    def before(self) -> float:
        """Mean loss of the first steps."""
        return sum(self.losses[:AVERAGED]) / AVERAGED

    @property
    def after(self) -> float:
        """Mean loss of the last steps."""
        return sum(self.losses[-AVERAGED:]) / AVERAGED

    def about(self, names: list[str]) -> str:
        """What was looked at, and the first names, as evidence."""
        looked = f"{self.trains} tensors train, {self.frozen} are frozen"
        return f"{looked}; {', '.join(names[:3])}" if names else looked


def first_device(profile: Profile, machine: Machine) -> Device:
    """The device that Trainer takes; raises Inconclusive where a profile with GPUs is applied to none."""
    margin_gib = profile.memory.margin.value
    if not profile.uses_gpu:
        return Device("cpu", 0, machine.cpu or "CPU", margin_gib=margin_gib)
    if not machine.gpus:
        raise Inconclusive("there is no GPU to train on", "See GPU-PRESENT first.")
    return Device("cuda", 0, machine.gpus[0].product, profile.gpu.unified_memory, margin_gib)


def train(device: Device, sizes: Lab) -> Trained:
    """Train as the lab does; raises Inconclusive where memory is short or Trainer takes another device."""
    try:
        return _train(device, sizes)
    finally:
        device.release()


def _train(device: Device, sizes: Lab) -> Trained:
    if device.kind == "cuda":
        allocation.require(device, _needs_bytes(sizes), "the LoRA lab")
    reader = text.tokenizer()
    data = rows(reader, sizes)
    model = adapted(device, sizes, len(reader))
    trains = {name: each for name, each in model.named_parameters() if each.requires_grad}
    frozen = {name: each for name, each in model.named_parameters() if not each.requires_grad}
    before = {name: numerics.fingerprint(each.detach()) for name, each in frozen.items()}
    with tempfile.TemporaryDirectory(prefix="dgxcert-lab-") as folder, own_state():
        still, losses = _fit(device, sizes, model, data, folder)
    if str(model.device) != device.name:
        raise Inconclusive(f"Trainer worked on {model.device}, not on {device.name}")
    return Trained(
        strays=sorted(set(trains) ^ _must_train(sizes)),
        trains=len(trains),
        changed=[name for name, each in frozen.items() if numerics.fingerprint(each.detach()) != before[name]],
        frozen=len(frozen),
        still=still,
        losses=losses,
    )


def adapted(device: Device, sizes: Lab, vocabulary: int, **more: Any) -> Any:
    """DistilBERT for two classes with the lab's adapters; `more` goes into its configuration."""
    from peft import LoraConfig, get_peft_model

    widths = {"hidden": sizes.hidden, "heads": sizes.heads, "intermediate": sizes.intermediate}
    config = encoders.distilbert(vocabulary, sizes.layers, **widths, num_labels=2, **more)
    base = encoders.build(device, "DistilBertForSequenceClassification", config)
    adapters = LoraConfig(
        task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS), modules_to_save=list(HEADS)
    )
    return get_peft_model(base, adapters)


def rows(reader: Any, sizes: Lab) -> Any:
    """A `datasets` data set of labelled texts, each of words that only its label uses, padded or cut to `length`."""
    import datasets

    words = sorted({word.strip(".,:;") for word in text.CORPUS.read_text(encoding="utf-8").split()})
    longest = sorted(words, key=len)[-2 * FAMILY :]
    families = (longest[0::2], longest[1::2])
    chance = random.Random(sizes.length)  # noqa: S311 (made-up texts, not secrets)
    labels = [index % 2 for index in range(sizes.batch * sizes.steps)]
    texts = [" ".join(chance.choices(families[label], k=WORDS)) for label in labels]
    tokens = reader(texts, padding="max_length", truncation=True, max_length=sizes.length)
    columns = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    return datasets.Dataset.from_dict({**columns, "labels": labels})


def _fit(device: Device, sizes: Lab, model: Any, data: Any, folder: str) -> tuple[list[str], list[float]]:
    """Train by Trainer; returns the tensors without a gradient at the last step, and every loss."""
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    still: list[str] = []
    looked: list[int] = []

    class Gradients(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **about: Any) -> None:  # noqa: ARG002
            if state.global_step == sizes.steps - 1:
                looked.append(state.global_step)
                pairs = [(name, each) for name, each in about["model"].named_parameters() if each.requires_grad]
                still.extend(name for name, each in pairs if not learns(each.grad))

    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=sizes.steps,
        per_device_train_batch_size=sizes.batch,
        learning_rate=sizes.learning_rate,
        bf16=device.kind == "cuda",
        use_cpu=device.kind == "cpu",
        dataloader_pin_memory=device.kind == "cuda",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with several GPUs it would spread the model over all of them
    trainer = Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Gradients])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    if not looked:
        raise Inconclusive("Trainer did not say when it was about to step, so no gradient was looked at")
    return still, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _must_train(sizes: Lab) -> set[str]:
    """The names of all that the lab trains: two matrices for each target of each layer, and the head."""
    root = "base_model.model"
    names = {
        f"{root}.distilbert.transformer.layer.{layer}.attention.{target}.lora_{side}.default.weight"
        for layer in range(sizes.layers)
        for target in TARGETS
        for side in "AB"
    }
    heads = {f"{root}.{head}.modules_to_save.default.{part}" for head in HEADS for part in ("weight", "bias")}
    return names | heads


def _needs_bytes(sizes: Lab) -> float:
    """Weights with their copy for each head, activations (34 values of 4 bytes per token, hidden unit and layer)."""
    tokens = sizes.batch * sizes.length
    weights = 4.0 * (sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate) + 2e7)
    return weights + 34 * 4.0 * tokens * sizes.hidden * sizes.layers + allocation.GIB


@contextmanager
def own_state() -> Iterator[None]:
    """Undo what Trainer leaves in the process: variables for accelerate, and accelerate's own state."""
    from accelerate.state import AcceleratorState

    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        AcceleratorState._reset_state(reset_partial_state=True)
