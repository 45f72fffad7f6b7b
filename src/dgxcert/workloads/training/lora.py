"""LoRA: training steps per second of low-rank adapters on a frozen model.

`stock` is transformers' Trainer with PEFT on padded rows, which is what a user gets; `tuned` trains the same model on
the same rows without padding, with a fused optimizer and compiled layers where that pays, or as one CUDA graph, and
recomputes activations only where memory is short. Both are compared with exact gradients and with the losses of a plain
loop.
"""

import contextlib
import itertools
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import NF4, STOCK, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.round_timer import AddRound, repeat
from dgxcert.workloads.training import captured_step, lora_batches, lora_setup, packed_attention, tiled_qlora
from dgxcert.workloads.training.captured_step import CapturedStep
from dgxcert.workloads.training.lora_setup import Setup
from dgxcert.workloads.training.lora_trainer import TrainerTraining
from dgxcert.workloads.training.lora_training import MAX_GRAD_NORM, LoraTraining, backward

if TYPE_CHECKING:
    import torch

DISTILBERT = "transformers.models.distilbert.modeling_distilbert"
MASK_OR_NONE = "_prepare_4d_attention_mask_for_sdpa"
"""Of transformers 4: leaves out a mask of ones, and waits for the device to see whether it is one. Later ones do not
during a capture."""


@contextlib.contextmanager
def mask_without_waiting() -> Iterator[None]:
    """Have DistilBERT build its attention mask whatever is in it: rows of one length, which need none, do not occur."""
    modeling = import_module(DISTILBERT)
    right = getattr(modeling, MASK_OR_NONE, None)
    if right is None:
        yield
        return
    setattr(modeling, MASK_OR_NONE, import_module("transformers.modeling_attn_mask_utils")._prepare_4d_attention_mask)
    try:
        yield
    finally:
        setattr(modeling, MASK_OR_NONE, right)


class TunedTraining(LoraTraining):
    """A plain loop over rows without padding, with a fused optimizer and compiled layers.

    A step of the course's small model is one CUDA graph instead: it has too few kernels per launch to keep a GPU busy.
    """

    def __init__(self, setup: Setup, profile: Profile) -> None:
        import torch

        super().__init__(setup, profile)
        collate = lora_batches.padded if setup.is_classifier else lora_batches.packed
        self._inputs = [lora_batches.to_device(setup.device, collate(batch)) for batch in setup.batches]
        self._options = {} if setup.is_classifier else packed_attention.options(self.model, setup.batches)
        # capturable: it counts its steps on the device, or a graph would repeat the same step.
        self._optimizer = torch.optim.AdamW(
            self.trained.values(),
            lr=setup.learning_rate,
            weight_decay=0.0,
            fused=True,
            capturable=setup.is_classifier and setup.device.kind == "cuda",
        )
        self._captured = CapturedStep(setup.device, self._train, self._inputs[0]) if setup.is_classifier else None
        if setup.recomputes_activations:
            # Reentrant checkpoints need an input that requires a gradient, and here only the adapters do.
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._tiles: tiled_qlora.Choice | None = None
        if setup.case.precision == NF4:
            self._tiles = tiled_qlora.before_training(setup.device, self.model, setup.tokens, setup.compute)
        if profile.workloads.lora.compile and not setup.is_classifier:
            torch.compiler.reset()  # graphs of an earlier model count against torch's recompile limit per function
            for layer in self.model.get_base_model().model.layers:
                layer.compile()  # by layer: all of them share one compiled graph

    def run_rounds(self, add_round: AddRound) -> None:
        """Steps over the batches in turn; a round is one step."""
        inputs = itertools.cycle(self._inputs)
        repeat(lambda: self._step(next(inputs)), add_round)

    def _step(self, inputs: "dict[str, torch.Tensor]") -> None:
        take = self._captured or self._train
        self.losses.append(take(inputs))
        self.setup.device.wait()

    def _train(self, inputs: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """One step on a batch; returns its loss without waiting for the device."""
        import torch

        self._optimizer.zero_grad()  # before the step and not after it, so that `verify` still has the last gradients
        with mask_without_waiting() if self.setup.is_classifier else contextlib.nullcontext():
            loss = backward(self.setup, self.model, inputs, **self._options)
        self.keep_first_gradients()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), MAX_GRAD_NORM)
        self._optimizer.step()
        return loss

    def first_batch(self) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
        """The inputs of the first step, and the keyword arguments that the model is called with."""
        return self._inputs[0], self._options

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Check the gradients of the last step, what `LoraTraining.verify` checks, then a captured step by another."""
        if self._tiles is not None:
            self._tiles.record(evidence)
        self.check_gradients()
        super().verify(evidence)
        if self._captured is not None:
            training = captured_step.Training(self.trained, self._optimizer)
            precision = self.setup.case.precision
            captured_step.verify(evidence, self._captured, training, self._inputs[0], self._profile, precision)


@LEDGER.on(Spent.BUILDING)
def prepare(device: Device, profile: Profile, case: Case) -> LoraTraining:
    """The training that a profile sets for a case, its model built; raises Inconclusive where memory is short."""
    setup = lora_setup.find(device, profile, case)
    return TrainerTraining(setup, profile) if case.path == STOCK else TunedTraining(setup, profile)
