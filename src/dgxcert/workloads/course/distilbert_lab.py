"""DistilBERT lab: the course's own LoRA set-up, a DistilBERT classifier of two kinds of text, trained by Trainer.

It trains on the first GPU, as a notebook does.
"""

import functools
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
from dgxcert.probes.stack import intruder
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.models import encoders, text
from dgxcert.workloads.training import exact_gradients, gradients
from dgxcert.workloads.training.gradients import Agreement, is_usable

TARGETS = ("q_lin", "v_lin")
HEADS = ("classifier", "pre_classifier")
RANK, ALPHA = 16, 32
LABEL_WORDS = 8
"""Distinct words of a label, none of which occurs in a text of the other label."""
TEXT_WORDS = 24
"""Words of one text."""
COMPARED = 2
"""First steps whose gradients are compared with exact ones: B starts at zero, so that A has a gradient from the second
step on."""
AVERAGED = 4
"""Losses at the beginning and at the end that are averaged."""
OF_LOSS_BEFORE = "of loss before"

LOSS_FALLS = Limit(
    name="loss of the lab",
    max=0.5,
    unit=OF_LOSS_BEFORE,
    source="the two labels share no word: the loss falls below a hundredth; weights that do not train stay at 1",
)


@dataclass
class LabResult:
    """What a training did: names of tensors that are not as they must be, and every logged loss."""

    misplaced: list[str]
    """Tensors that are trained and must be frozen, or are frozen and must be trained."""
    trained: int
    changed: list[str]
    """Frozen tensors of which a bit changed."""
    frozen: int
    no_gradient: list[str]
    """Trained tensors whose gradient at the last step was missing, zero, or not finite."""
    gradients: Agreement
    """How the gradients of the first steps agree with exact ones."""
    precision: str
    """Precision of the arithmetic, bf16 by autocast on a GPU."""
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
        """The number of tensors that were compared, and the first three of some names, as evidence states it.

        >>> same = Agreement(0.0, "lora_A", 1.0, "lora_A", tensors=28)
        >>> LabResult([], 28, [], 104, [], gradients=same, precision="fp32").about(["lora_A"])
        '28 tensors train, 104 are frozen; lora_A'
        """
        compared = f"{self.trained} tensors train, {self.frozen} are frozen"
        return f"{compared}; {', '.join(names[:3])}" if names else compared


def first_device(profile: Profile, machine: Machine) -> Device:
    """The device that Trainer takes: the first GPU, or the CPU where the profile uses no GPU.

    Raises Inconclusive where the profile uses GPUs and the machine has none.
    """
    margin_gib = profile.memory.margin.value
    if not profile.uses_gpu:
        return Device("cpu", 0, machine.cpu or "CPU", margin_gib=margin_gib)
    if not machine.gpus:
        raise Inconclusive("there is no GPU to train on", "Run `make validate ONLY=GPU-PRESENT` first.")
    first = machine.gpus[0]
    return Device("cuda", first.index, first.product, profile.gpu.memory, margin_gib)


@intruder.named()
def train(device: Device, sizes: Lab) -> LabResult:
    """Train as the course's lab does; raises Inconclusive where memory is short or Trainer takes another device."""
    try:
        return _train(device, sizes)
    finally:
        device.release()


def _train(device: Device, sizes: Lab) -> LabResult:
    if device.kind == "cuda":
        allocation.require(device, _needs_bytes(sizes), "the LoRA lab")
    tokenizer = text.tokenizer()
    rows = dataset(tokenizer, sizes)
    # A new model: one that was used for inference may hold weights that its kernels repacked, and a repacked weight
    # loses its gradient without an error.
    model = build_model(device, sizes, len(tokenizer))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    frozen = {name: parameter for name, parameter in model.named_parameters() if name not in trained}
    before = {name: numerics.fingerprint(parameter.detach()) for name, parameter in frozen.items()}
    with tempfile.TemporaryDirectory(prefix="dgxcert-lab-") as folder, isolated_trainer():
        steps = _fit(device, sizes, model, rows, folder)
    if str(model.device) != device.name:
        raise Inconclusive(f"Trainer worked on {model.device}, not on {device.name}")
    return LabResult(
        misplaced=sorted(trained ^ _must_train(sizes)),
        trained=len(trained),
        # Detached again: a move of the model would leave an earlier view of a parameter on its old storage.
        changed=[name for name, values in frozen.items() if numerics.fingerprint(values.detach()) != before[name]],
        frozen=len(frozen),
        no_gradient=steps.no_gradient,
        gradients=steps.agreement(),
        precision="bf16" if device.kind == "cuda" else "fp32",
        losses=steps.losses,
    )


def build_model(device: Device, sizes: Lab, vocabulary: int, **more: Any) -> Any:
    """A DistilBERT classifier of two labels with the lab's adapters, as a PEFT model; `more` goes into its config."""
    from peft import LoraConfig, get_peft_model

    widths = {"hidden": sizes.hidden, "heads": sizes.heads, "intermediate": sizes.intermediate}
    config = encoders.distilbert(vocabulary, sizes.layers, **widths, num_labels=2, **more)
    base = encoders.build(device, "DistilBertForSequenceClassification", config)
    adapters = LoraConfig(
        task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS), modules_to_save=list(HEADS)
    )
    return get_peft_model(base, adapters)


def dataset(tokenizer: Any, sizes: Lab) -> Any:
    """A `datasets.Dataset` of labelled texts, padded or truncated to `length` tokens; the labels share no word."""
    import datasets

    words = sorted({word.strip(".,:;") for word in text.CORPUS.read_text(encoding="utf-8").split()})
    longest = sorted(words, key=len)[-2 * LABEL_WORDS :]
    vocabularies = (longest[0::2], longest[1::2])
    chance = random.Random(sizes.length)  # noqa: S311 (made-up texts, not secrets)
    labels = [index % 2 for index in range(sizes.batch * sizes.steps)]
    texts = [" ".join(chance.choices(vocabularies[label], k=TEXT_WORDS)) for label in labels]
    tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=sizes.length)
    columns = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    return datasets.Dataset.from_dict({**columns, "labels": labels})


@dataclass
class _Steps:
    """What is kept of the steps of a training while it runs."""

    no_gradient: list[str] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    ended: bool = False

    def compare(self, model: Any, inputs: Any) -> None:
        """Compare the gradients that a model holds after a backward pass with exact ones of the same inputs."""
        trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
        rows = exact_gradients.rows_of(inputs)
        exact = exact_gradients.of_classifier(model, rows, inputs["labels"])
        self.agreements.append(gradients.compare(gradients.kept(trained), exact))

    def agreement(self) -> Agreement:
        """The worst of the comparisons; raises Inconclusive where some are missing."""
        if len(self.agreements) < COMPARED:
            raise Inconclusive(f"Trainer took {len(self.agreements)} of {COMPARED} steps whose gradients are compared")
        return functools.reduce(Agreement.worst, self.agreements)


def _fit(device: Device, sizes: Lab, model: Any, rows: Any, folder: str) -> _Steps:
    """Train with Trainer; raises Inconclusive where it never called back before a step."""
    from transformers import PrinterCallback, Trainer, TrainerCallback

    steps = _Steps()

    class Gradients(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
        # Here and no later: Trainer zeroes the gradients before it calls on_step_end.
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **options: Any) -> None:  # noqa: ARG002
            if state.global_step == sizes.steps - 1:
                steps.ended = True
                trained = [pair for pair in options["model"].named_parameters() if pair[1].requires_grad]
                steps.no_gradient.extend(name for name, parameter in trained if not is_usable(parameter.grad))

    class ComparesGradients(Trainer):  # type: ignore[misc]  # transformers is not typed here
        # Here and no later: Trainer clips gradients before it calls on_pre_optimizer_step.
        def training_step(self, model: Any, inputs: Any, *more: Any, **options: Any) -> Any:
            if len(steps.agreements) >= COMPARED:
                return super().training_step(model, inputs, *more, **options)
            with _no_dropout(model):
                loss = super().training_step(model, inputs, *more, **options)
                steps.compare(model, self._prepare_inputs(inputs))
            return loss

    trainer = ComparesGradients(
        model=model, args=_arguments(device, sizes, folder), train_dataset=rows, callbacks=[Gradients]
    )
    trainer.remove_callback(PrinterCallback)  # which disable_tqdm puts in, and which prints every logged loss
    trainer.train()
    if not steps.ended:
        raise Inconclusive("Trainer did not call on_pre_optimizer_step, so no gradient could be checked")
    steps.losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return steps


def _arguments(device: Device, sizes: Lab, folder: str) -> Any:
    from transformers import TrainingArguments

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
    arguments._n_gpu = min(arguments.n_gpu, 1)  # or Trainer wraps the model in DataParallel on all GPUs
    return arguments


@contextmanager
def _no_dropout(model: Any) -> Iterator[None]:
    """Switch a model's dropout off, its attention's too: nothing else could draw the same random numbers again."""
    import torch

    rates = [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        # Attention that calls a fused kernel keeps its rate as a number: `dropout_prob`, `attention_dropout`.
        if isinstance(value, float) and ("dropout" in name or isinstance(module, torch.nn.Dropout))
    ]
    try:
        for module, name, _ in rates:
            setattr(module, name, 0.0)
        yield
    finally:
        for module, name, rate in rates:
            setattr(module, name, rate)


def _must_train(sizes: Lab) -> set[str]:
    """The names of all tensors that the lab trains: A and B for each target of each layer, and the head."""
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
    """Memory of the lab: weights, the head's copy, and activations.

    34 values of 4 bytes are kept per token, hidden unit and layer (Korthikanti et al. 2022, section 4).
    """
    tokens = sizes.batch * sizes.length
    weights = 4.0 * (sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate) + 2e7)
    return weights + 34 * 4.0 * tokens * sizes.hidden * sizes.layers + allocation.GIB


@contextmanager
def isolated_trainer() -> Iterator[None]:
    """Undo what Trainer leaves in the process: environment variables for accelerate, and accelerate's state.

    accelerate keeps its device in a process-wide singleton: the next Trainer would take it over.
    """
    from accelerate.state import AcceleratorState

    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        AcceleratorState._reset_state(reset_partial_state=True)
