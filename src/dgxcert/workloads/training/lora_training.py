"""LoRA training steps: what each path must compute.

Its first gradients are compared with exact ones, its losses with those of a plain loop over padded rows.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import STOCK, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.rounds import Rounds, Work
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import ceilings
from dgxcert.workloads.hardware.rooflines import Peaks
from dgxcert.workloads.round_timer import AddRound
from dgxcert.workloads.training import attention_gradients, exact_gradients, gradients, lora_batches, lora_setup
from dgxcert.workloads.training.gradients import is_usable
from dgxcert.workloads.training.lora_setup import Setup

if TYPE_CHECKING:
    import torch

OF_LOSS_BEFORE = "of loss before"
LOSS_FALLS = Limit(
    name="loss falls", max=0.99, unit=OF_LOSS_BEFORE, source="random weights leave so much to learn that 1 % is little"
)
CYCLE = lora_batches.BATCHES
MAX_GRAD_NORM = 1.0
"""Trainer's default `max_grad_norm`."""
FIRST_LOSS = {
    "fp32": (1e-5, "2e-7 measured; rows that attend to each other change it by 9e-3, another order of rows by more"),
    "bf16": (
        2e-3,
        "a loss is a mean over hundreds of tokens or more, whose logits are off by a tenth of their deviation: 1e-4 to "
        "1e-3; see fp32 for what must not pass",
    ),
    "nf4": (2e-3, "as bf16"),
}
"""Largest relative difference of the first losses of two paths, which have the same weights."""
LATER_LOSSES = {
    "fp32": (1e-5, "2e-7 measured over the first steps; see the first loss"),
    "bf16": (
        1e-2,
        "up to 3.6e-3 measured on an H200 at three times the learning rate: Adam's first steps have the same length "
        "for every gradient, so that rounding can reverse small ones; times 3",
    ),
    "nf4": (1e-2, "as bf16"),
}
"""Largest relative difference of the losses after the first steps."""


@dataclass(frozen=True)
class Reference:
    """What the first steps of a case must compute on either path."""

    losses: tuple[float, ...]
    """Losses of a plain loop over padded rows."""
    gradients: "dict[str, torch.Tensor]"
    """Exact gradients of the first step, by parameter name."""


class LoraTraining:
    """One case of training, a `Workload`; `run_rounds` of a subclass fills `losses` and the gradients."""

    def __init__(self, setup: Setup, profile: Profile) -> None:
        self.setup, self._profile = setup, profile
        self._reference = reference(setup.device, profile, setup.case)
        self.model = setup.build()
        self.trained = {name: values for name, values in self.model.named_parameters() if values.requires_grad}
        self.losses: list[torch.Tensor] = []
        """Loss of every step, kept on the device: reading one would wait for it."""
        self.first_gradients: dict[str, torch.Tensor] | None = None
        """Gradients of the first step, before they are clipped; None until `keep_first_gradients` was called."""
        self.no_gradient: list[str] | None = None
        """Trained tensors without a usable gradient at the last step; None until `check_gradients` was called."""
        peaks = Peaks.of(profile, setup.compute), ceilings.peaks(setup.device, profile, setup.compute)
        bounds = [setup.cost.bound(1.0, "step/s", peak) for peak in peaks]
        self.work = Work(setup.device, 1.0, roofline=bounds[0], ceiling=bounds[1], grace=ceilings.grace(profile))

    def run_rounds(self, add_round: AddRound) -> None:
        """Steps over the batches in turn; a round is one step."""
        raise NotImplementedError

    def first_batch(self) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
        """The inputs of the first step, and the keyword arguments that the model is called with."""
        return lora_batches.to_device(self.setup.device, lora_batches.padded(self.setup.batches[0])), {}

    def keep_first_gradients(self) -> None:
        """Keep the gradients that the trained tensors hold now, at the first call; call it after every backward pass.

        A step that is timed is not delayed: the first one belongs to the warm-up.
        """
        if self.first_gradients is None:
            self.first_gradients = gradients.kept(self.trained)

    def check_gradients(self) -> None:
        """Set `no_gradient` from the gradients that the trained tensors hold now."""
        self.no_gradient = [name for name, values in self.trained.items() if not is_usable(values.grad)]

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Require usable and exact gradients, losses equal to those of a plain loop, and a loss that fell.

        Raises Wrong where one of them does not hold, Inconclusive where too few steps were taken to compare.
        """
        if self.no_gradient is None:
            raise Inconclusive("Trainer did not call on_pre_optimizer_step, so no gradient could be checked")
        source = "every trained tensor at the last step" + "".join(f"; {name}" for name in self.no_gradient[:3])
        unit = f"of {len(self.trained)}"
        idle = evidence.record("tensors without a gradient", len(self.no_gradient), unit=unit, source=source)
        evidence.require(idle == 0)
        losses = [float(loss) for loss in self.losses]
        finite = evidence.record(
            "losses are finite", all(map(math.isfinite, losses)), source=f"all {len(losses)} steps"
        )
        evidence.require(finite.holds())
        if len(losses) < CYCLE:
            raise Inconclusive(f"{len(losses)} steps were taken, {CYCLE} are needed to compare their losses")
        self._compare_first_steps(losses, evidence)
        before, after = sum(losses[:CYCLE]) / CYCLE, sum(losses[-CYCLE:]) / CYCLE
        source = f"mean of the first {CYCLE} of {len(losses)} steps {before:.4f}, of the last {after:.4f}"
        loss = evidence.record("loss after training", after / before, unit=OF_LOSS_BEFORE, source=source)
        evidence.require(loss.within(LOSS_FALLS))

    def _compare_gradients(self, evidence: Recorder) -> None:
        """Require the gradients of the first step, then those of its attention alone, to be the exact ones."""
        if self.first_gradients is None:
            raise Inconclusive("no step of the training kept its gradients, so that none could be compared")
        agreement = gradients.compare(self.first_gradients, self._reference.gradients)
        angle, size = gradients.record(evidence, agreement)
        evidence.require(angle <= self._profile.limit(f"training.direction.{self.setup.case.precision}"))
        evidence.require(size.within(self._profile.limit(f"training.size.{self.setup.case.precision}")))
        inputs, options = self.first_batch()
        agreement = attention_gradients.compare(self.setup, self.model, inputs, **options)
        angle, size = gradients.record(evidence, agreement, "first layer, first batch", of="attention gradients")
        evidence.require(angle <= self._profile.limit("training.attention.direction"))
        evidence.require(size.within(self._profile.limit("training.attention.size")))

    def _compare_first_steps(self, losses: list[float], evidence: Recorder) -> None:
        """Require the first loss of the plain loop, exact gradients, then the losses of a whole cycle of that loop.

        In this order, so that the first thing that is wrong is named: a forward pass, a backward pass, an optimizer.
        """
        expected = self._reference.losses
        first, *later = [abs(loss - exact) / exact for loss, exact in zip(losses[:CYCLE], expected, strict=True)]
        source = f"against a plain loop over padded rows: {_listed(losses)} and {_listed(expected)}"
        self._compare_loss("difference of the first loss", first, FIRST_LOSS, source, evidence)
        self._compare_gradients(evidence)
        self._compare_loss("difference of later losses", max(later), LATER_LOSSES, source, evidence)

    def _compare_loss(
        self, name: str, difference: float, tolerances: dict[str, tuple[float, str]], source: str, evidence: Recorder
    ) -> None:
        relative = evidence.record(name, difference, unit="relative", source=source)
        evidence.require(relative.within(_tolerance(name, tolerances, self.setup.case.precision)))

    def record_use(self, evidence: Recorder, rounds: Rounds) -> None:
        """Record real tokens per second and model FLOPs utilisation (MFU, Chowdhery et al. 2022, appendix B).

        Operations that gradient checkpointing repeats are not counted.
        """
        steps_s = len(rounds.seconds) / rounds.total_s
        source = f"{self.setup.tokens} tokens a step, padding not counted"
        evidence.record("tokens", self.setup.tokens * steps_s, unit="token/s", source=source)
        peak = self._profile.peak(f"matmul.{self.setup.compute}")
        share = self.setup.flops * steps_s / (peak.value * 1e12)
        tflops = f"{peak.value:g} TFLOP/s ({peak.source})"
        source = f"4 operations per weight and token over {tflops}; recomputing not counted"
        evidence.record("MFU", share, unit="of peak", source=source)


def _tolerance(name: str, tolerances: dict[str, tuple[float, str]], precision: str) -> Limit:
    value, source = tolerances[precision]
    return Limit(name=f"tolerance in {precision}: {name}", max=value, unit="relative", source=source)


@cache
def _reference(setup: Setup) -> Reference:
    """Exact gradients of the first step, then the first losses of a plain loop, on a model of its own."""
    import torch

    model = setup.build()
    exact = _exact_gradients(setup, model)
    trained = [values for values in model.parameters() if values.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=setup.learning_rate, weight_decay=0.0)
    losses = []
    for batch in setup.batches:
        optimizer.zero_grad()
        losses.append(float(backward(setup, model, lora_batches.to_device(setup.device, lora_batches.padded(batch)))))
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        optimizer.step()
    return Reference(tuple(losses), exact)


def _exact_gradients(setup: Setup, model: Any) -> "dict[str, torch.Tensor]":
    """Exact gradients of the first batch."""
    inputs = lora_batches.to_device(setup.device, lora_batches.padded(setup.batches[0]))
    rows = exact_gradients.rows_of(inputs)
    if setup.is_classifier:
        return exact_gradients.of_classifier(model, rows, inputs["labels"])
    return exact_gradients.of_causal(model, rows)


def backward(setup: Setup, model: Any, inputs: "dict[str, torch.Tensor]", **options: Any) -> "torch.Tensor":
    """One forward and backward pass; returns the loss, detached, on the device."""
    with setup.autocast():
        loss: torch.Tensor = model(**inputs, **options).loss
    loss.backward()
    return loss.detach()


def reference(device: Device, profile: Profile, case: Case) -> Reference:
    """What the first cycle of a case must compute on either path; computed once for both."""
    computed = _reference(lora_setup.find(device, profile, Case(case.precision, STOCK, case.setting)))
    device.release()  # the plain loop's model, before the timed one is built
    return computed


def _listed(losses: "list[float] | tuple[float, ...]") -> str:
    return ", ".join(f"{loss:.5g}" for loss in losses[:CYCLE])
