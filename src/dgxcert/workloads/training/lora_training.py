"""LoRA training steps: what every way to take them must compute, whichever is timed; compared with a plain loop."""

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import STOCK, Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.rounds import Rounds, Work
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import ceilings
from dgxcert.workloads.hardware.rooflines import Peaks
from dgxcert.workloads.round_timer import AddRound
from dgxcert.workloads.training import lora_batches, lora_setup
from dgxcert.workloads.training.gradients import is_usable
from dgxcert.workloads.training.lora_setup import Setup

if TYPE_CHECKING:
    import torch

OF_LOSS_BEFORE = "of loss before"
LOSS_FALLS = Limit(
    name="loss falls", max=0.99, unit=OF_LOSS_BEFORE, source="random weights leave so much to learn that 1 % is little"
)
CYCLE = lora_batches.BATCHES
MOST_NORM = 1.0
"""Trainer's own `max_grad_norm`."""
FIRST = {
    "fp32": (1e-5, "2e-7 measured; rows that see each other move it by 9e-3, another order of rows by more"),
    "bf16": (
        2e-3,
        "a loss is a mean over hundreds of tokens or more, whose logits are off by a tenth of their deviation: 1e-4 to "
        "1e-3; see fp32 for what must not pass",
    ),
    "nf4": (2e-3, "as bf16"),
}
"""How far the first losses of two ways to train may lie apart, as a share: both have the same weights."""
CURVES = {
    "fp32": (1e-5, "2e-7 measured over the first steps; see the first loss"),
    "bf16": (
        1e-2,
        "up to 3.6e-3 measured on an H200 at three times the rate of learning: Adam's first steps have one length "
        "whatever the gradient, so that rounding turns small ones around; times 3",
    ),
    "nf4": (1e-2, "as bf16"),
}
"""How far the losses after the first steps may lie apart, as a share."""


class Training:
    """One case of training; `rounds` of a subclass fills `losses` and `still`."""

    def __init__(self, setup: Setup, profile: Profile) -> None:
        self.setup, self._profile = setup, profile
        self._wanted = reference_losses(setup.device, profile, setup.case)
        self.model = setup.build()
        self.trained = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        self.losses: list[torch.Tensor] = []
        """Of every step, on the device."""
        self.still: list[str] | None = None
        """What trains and had no gradient at the last step."""
        peaks = Peaks.of(profile, setup.compute), ceilings.peaks(setup.device, profile, setup.compute)
        bounds = [setup.cost.bound(1.0, "step/s", each) for each in peaks]
        self.work = Work(setup.device, 1.0, roofline=bounds[0], ceiling=bounds[1], grace=ceilings.grace(profile))

    def run_rounds(self, add_round: AddRound) -> None:
        """Steps of the batches in turn; a round is one step."""
        raise NotImplementedError

    def look_at_gradients(self) -> None:
        """Keep the names of what trains and has no gradient now."""
        self.still = [name for name, each in self.trained.items() if not is_usable(each.grad)]

    def verify(self, evidence: Recorder) -> None:
        """Gradients are there, the loss fell, and its first values are those of a plain loop; raises Wrong."""
        if self.still is None:
            raise Inconclusive("nobody said when the last step was taken, so that no gradient was looked at")
        source = "every trained tensor at the last step" + "".join(f"; {name}" for name in self.still[:3])
        found = evidence.record("without a gradient", len(self.still), unit=f"of {len(self.trained)}", source=source)
        evidence.require(found == 0)
        losses = [float(each) for each in self.losses]
        finite = evidence.record(
            "losses are finite", all(map(math.isfinite, losses)), source=f"all {len(losses)} steps"
        )
        evidence.require(finite.holds())
        if len(losses) < CYCLE:
            raise Inconclusive(f"{len(losses)} steps were taken, {CYCLE} are needed to compare their losses")
        first, *later = [abs(here - there) / there for here, there in zip(losses[:CYCLE], self._wanted, strict=True)]
        how = f"against a plain loop over padded rows: {_words(losses)} and {_words(self._wanted)}"
        for what, apart, table in (("first loss differs by", first, FIRST), ("losses differ by", max(later), CURVES)):
            found = evidence.record(what, apart, unit="relative", source=how)
            evidence.require(found.within(_tolerance(what, table, self.setup.case.precision)))
        before, after = sum(losses[:CYCLE]) / CYCLE, sum(losses[-CYCLE:]) / CYCLE
        how = f"mean of the first {CYCLE} of {len(losses)} steps {before:.4f}, of the last {after:.4f}"
        fall = evidence.record("loss after training", after / before, unit=OF_LOSS_BEFORE, source=how)
        evidence.require(fall.within(LOSS_FALLS))

    def record_use(self, evidence: Recorder, rounds: Rounds) -> None:
        """Keep real tokens per second, and how much of the peak the model's own operations make up (MFU)."""
        steps_s = len(rounds.seconds) / rounds.total_s
        source = f"{self.setup.tokens} tokens a step, padding not counted"
        evidence.record("tokens", self.setup.tokens * steps_s, unit="token/s", source=source)
        peak = self._profile.peak(f"matmul.{self.setup.compute}")
        share = self.setup.flops * steps_s / (peak.value * 1e12)
        how = f"4 operations per weight and token over {peak.value:g} TFLOP/s ({peak.source}); recomputing not counted"
        evidence.record("MFU", share, unit="of peak", source=how)


def _tolerance(what: str, table: dict[str, tuple[float, str]], precision: str) -> Limit:
    value, source = table[precision]
    return Limit(name=f"tolerance in {precision}: {what}", max=value, unit="relative", source=source)


@cache
def _reference(setup: Setup) -> tuple[float, ...]:
    """The first losses of a plain loop over padded rows, on a model of its own that is gone afterwards."""
    import torch

    model = setup.build()
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=setup.learning_rate, weight_decay=0.0)
    losses = []
    for batch in setup.batches:
        optimizer.zero_grad()
        losses.append(float(backward(setup, model, lora_batches.on(setup.device, lora_batches.padded(batch)))))
        torch.nn.utils.clip_grad_norm_(trained, MOST_NORM)
        optimizer.step()
    return tuple(losses)


def backward(setup: Setup, model: Any, inputs: "dict[str, torch.Tensor]", **options: Any) -> "torch.Tensor":
    """The loss of a forward and backward pass, detached."""
    with setup.autocast():
        loss: torch.Tensor = model(**inputs, **options).loss
    loss.backward()
    return loss.detach()


def reference_losses(device: Device, profile: Profile, case: Case) -> tuple[float, ...]:
    """What the first steps of a case must give on either path; computed once for both."""
    found = _reference(lora_setup.find(device, profile, Case(case.precision, STOCK, case.setting)))
    device.release()
    return found


def _words(losses: "list[float] | tuple[float, ...]") -> str:
    return ", ".join(f"{each:.5g}" for each in losses[:CYCLE])
