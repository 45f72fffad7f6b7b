"""LoRA: training steps per second of low-rank adapters on a frozen model.

`stock` is transformers' Trainer with PEFT on padded rows, which is what a user gets; `tuned` trains the same model on
the same rows without padding, with a fused optimiser, compiled layers where that pays, and recomputes activations
only where memory asks for it. Both are held against the losses of a plain loop.
"""

import itertools
from typing import TYPE_CHECKING

from dgxcert.judgement.benchmark_cases import STOCK, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.round_timer import AddRound, repeat
from dgxcert.workloads.training import lora_batches, lora_setup, packed_attention
from dgxcert.workloads.training.lora_setup import Setup
from dgxcert.workloads.training.lora_trainer import Stock
from dgxcert.workloads.training.lora_training import MOST_NORM, Training, backward

if TYPE_CHECKING:
    import torch


class Tuned(Training):
    """Rows without padding, a fused optimiser, compiled layers, and as little else as there can be."""

    def __init__(self, setup: Setup, profile: Profile) -> None:
        import torch

        super().__init__(setup, profile)
        arrange = lora_batches.padded if setup.classifies else lora_batches.packed
        self._inputs = [lora_batches.on(setup.device, arrange(batch)) for batch in setup.batches]
        self._options = {} if setup.classifies else packed_attention.options(self.model, setup.batches)
        self._optimizer = torch.optim.AdamW(self.trained.values(), lr=setup.learning_rate, weight_decay=0.0, fused=True)
        if setup.recomputes:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if profile.workloads.lora.compile and not setup.classifies:
            torch.compiler.reset()  # what was compiled for an earlier model counts against a limit per function
            for layer in self.model.get_base_model().model.layers:
                layer.compile()  # one function for all of them

    def run_rounds(self, add_round: AddRound) -> None:
        """Steps of the batches in turn; a round is one step."""
        batches = itertools.cycle(self._inputs)
        repeat(lambda: self._step(next(batches)), add_round)

    def _step(self, inputs: "dict[str, torch.Tensor]") -> None:
        import torch

        self._optimizer.zero_grad()
        self.losses.append(backward(self.setup, self.model, inputs, **self._options))
        torch.nn.utils.clip_grad_norm_(self.trained.values(), MOST_NORM)
        self._optimizer.step()
        self.setup.device.wait()

    def verify(self, evidence: Recorder) -> None:
        """See Training. The gradients of the last step are still there."""
        self.look_at_gradients()
        super().verify(evidence)


def prepare(device: Device, profile: Profile, case: Case) -> Training:
    """The training that a profile asks for in a case."""
    setup = lora_setup.find(device, profile, case)
    return Stock(setup, profile) if case.path == STOCK else Tuned(setup, profile)
