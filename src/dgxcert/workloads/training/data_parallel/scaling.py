"""Scaling: LoRA steps per second of all devices together over the sum of what each of them reaches alone."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dgxcert.judgement.benchmark_cases import LARGE, TUNED, Case
from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.rounds import Around, Rounds, Work, rate
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.judgement.units import OF_EXACT, OF_LINEAR, OF_MEDIAN
from dgxcert.machine.device import Device
from dgxcert.machine.neighbours import is_busy
from dgxcert.outcome import UNEXPLAINED, Disturbed, Inconclusive
from dgxcert.probes.host import memory
from dgxcert.probes.host.processors import Processors
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware import ceilings, rooflines
from dgxcert.workloads.hardware.rooflines import Peaks
from dgxcert.workloads.hardware.together import neighbours
from dgxcert.workloads.models import architectures
from dgxcert.workloads.training import lora_batches, lora_setup
from dgxcert.workloads.training.data_parallel.differing import between
from dgxcert.workloads.training.data_parallel.noted import Noted, OneDevice, Plan
from dgxcert.workloads.training.lora_training import FIRST_LOSS, LATER_LOSSES

MODULE = "training.data_parallel.lora_steps"
LIMIT_S = 360.0
HOST_GIB = 4.0
"""Memory of the host that one rank on a GPU takes: libraries, a CUDA context, pinned buffers, compilers."""
DIRECTION = {
    "fp32": (0.005, "another order of summation, as for one device"),
    "bf16": (2.0, "the same kernels on the same rows: sums in another order move some values by one unit of bf16"),
}
"""Largest angle in degrees between exchanged gradients and those of one device on all rows."""
SIZE = {
    "fp32": (0.9999, 1.0001, "another order of summation, as for one device"),
    "bf16": (0.97, 1.03, "as the angle; a sum in place of the mean over ranks is twice as large or more"),
}
"""Smallest and largest size of exchanged gradients."""


@dataclass(frozen=True)
class Scaling:
    """What all ranks noted."""

    devices: tuple[Device, ...]
    noted: tuple[Noted, ...]
    plan: Plan
    hosts: tuple[str, ...] = ()
    """The machine of each rank; empty where all are on this one, as what is timed of them needs one clock."""

    @property
    def names(self) -> list[str]:
        """The ranks as a report calls them."""
        return [Rank(index, self.devices, self.hosts).name for index in range(len(self.devices))]

    @property
    def rounds(self) -> tuple[float, ...]:
        """Seconds of each step together, by the rank that ended it last."""
        began = max(each.together.began for each in self.noted)
        ended = (max(ends) for ends in zip(*(each.together.ended for each in self.noted), strict=True))
        return tuple(end - before for before, end in pairwise((began, *ended)))

    @property
    def alone(self) -> list[float]:
        """Steps per second of each device alone."""
        return [each.alone.rate for each in self.noted]

    @property
    def linear(self) -> float:
        """Steps per second of all devices, were they as fast together as each of them is alone: their mean."""
        return statistics.fmean(self.alone)

    @property
    def others(self) -> float:
        """Share of the CPU that none of the ranks used while steps together were timed."""
        before, after = (self._of_all(moment) for moment in (0, 1))
        return after.others_since(before)

    def _of_all(self, moment: int) -> Processors:
        first = self.noted[0].cpu[moment]
        own_s = sum(each.cpu[moment].own_s for each in self.noted)
        return Processors(first.at_s, first.busy_s, own_s, first.count)

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Require the losses and the gradients of one device on all rows, and the same weights on all ranks at the end.

        Raises Wrong where one of them does not hold.
        """
        self._require_finite(evidence)
        first, *later = self._loss_differences()
        precision = self.plan.precision
        self._compare(evidence, "difference of a rank's first loss", first, FIRST_LOSS[precision])
        self._compare_gradients(evidence)
        self._compare(evidence, "difference of a rank's later loss", max(later), LATER_LOSSES[precision])
        steps = self.plan.compared + self.plan.together
        weights = between([each.weights for each in self.noted], self.names)
        source = f"after {steps} steps: {weights.where}"
        same = evidence.record("weights that differ between ranks", weights.count, unit=weights.unit, source=source)
        evidence.require(same == 0)

    def _require_finite(self, evidence: Recorder) -> None:
        """Require numbers before any is compared: a difference to what is no number cannot be recorded."""
        alone, steps = self._one_device, self.plan.compared + self.plan.together
        losses = [loss for each in self.noted for loss in each.losses] + [
            loss for each in alone.losses for loss in each
        ]
        for what, values in (("losses", losses), ("gradients", [alone.angle_deg, alone.size])):
            finite = evidence.record(
                f"{what} are finite", all(map(math.isfinite, values)), source=f"all {steps} steps together"
            )
            evidence.require(finite.holds())

    def _compare_gradients(self, evidence: Recorder) -> None:
        """Require the gradients of the first step to be those of one device on the rows of all ranks."""
        alone, precision = self._one_device, self.plan.precision
        how = f"{alone.tensors} tensors of the first step, beside one device on the rows of all; worst at "
        angle = evidence.record(
            "angle to one device's gradients", alone.angle_deg, unit="°", source=how + alone.angle_at
        )
        size = evidence.record("size of exchanged gradients", alone.size, unit=OF_EXACT, source=how + alone.size_at)
        least, most, why = SIZE[precision]
        evidence.require(size.within(Limit(name="tolerance: size", min=least, max=most, unit=OF_EXACT, source=why)))
        most, why = DIRECTION[precision]
        evidence.require(angle <= Limit(name="tolerance: direction", max=most, unit="°", source=why))

    def _compare(self, evidence: Recorder, name: str, worst: tuple[float, str], tolerance: tuple[float, str]) -> None:
        limit = Limit(name=f"tolerance: {name}", max=tolerance[0], unit="relative", source=tolerance[1])
        evidence.require(evidence.record(name, worst[0], unit="relative", source=worst[1]).within(limit))

    def _loss_differences(self) -> list[tuple[float, str]]:
        """The largest relative difference of each compared step, and which rank it is of."""
        return [
            max(
                (
                    abs(each.losses[step] - wanted) / abs(wanted),
                    f"step {step + 1} on {name}, {wanted:.5g} on one device",
                )
                for name, each, wanted in zip(self.names, self.noted, of_ranks, strict=True)
            )
            for step, of_ranks in enumerate(self._one_device.losses)
        ]

    @property
    def _one_device(self) -> OneDevice:
        noted = self.noted[0].one_device
        if noted is None:
            raise Inconclusive(f"{self.names[0]} noted nothing about one device on the rows of all")
        return noted

    def measure(self, evidence: Recorder, profile: Profile) -> Quantity:
        """Record the rates and what explains them; returns the rate together as a share of the linear one.

        Raises what `rounds.rate` raises: so where all together are faster than the slowest device is alone.
        """
        spread = profile.limit(self._case.spread)
        self._believe_alone(evidence, spread)
        self._record_slowest(evidence)
        work = self._work(profile)
        together = rate(evidence, "LoRA together", work, self._judged_rounds(), unit="step/s", spread=spread)
        share = together.number / self.linear
        listed = ", ".join(f"{name} {alone:.4g}" for name, alone in zip(self.names, self.alone, strict=True))
        source = (
            f"{len(self.devices)} ranks by DistributedDataParallel, each with the rows of one device alone: "
            f"{together.number:.4g} step/s together over the mean of each alone: {listed}; {self._slowest[1]}"
        )
        scaling = evidence.record("LoRA scaling", share, unit=OF_LINEAR, source=source)
        if is_busy(self.others):
            evidence.disturbed(scaling, Around(others=self.others).neighbours)
        return scaling

    @property
    def _case(self) -> Case:
        return Case(self.plan.precision, TUNED, LARGE)

    def _work(self, profile: Profile) -> Work:
        sizes, precision = self.plan.model, self.plan.precision
        tokens = sum(lora_batches.lengths(sizes.batch, sizes.length))
        cost = rooflines.lora(architectures.find(sizes.model), precision, precision, tokens)
        slowest = min(range(len(self.devices)), key=lambda index: self.alone[index])
        ceiling = Bound(value=self.alone[slowest], unit="step/s", source=f"{self.names[slowest]} alone, in this run")
        roofline = cost.bound(1.0, "step/s", Peaks.of(profile, precision))
        return Work(self.devices[0], 1.0, roofline=roofline, ceiling=ceiling, grace=ceilings.grace(profile))

    def _judged_rounds(self) -> Rounds:
        """The rounds together; raises Inconclusive where it is not known whether others used a GPU."""
        disturbed = next((each for each in self.noted if each.disturbed), None)
        if disturbed is not None and disturbed.unknown:
            raise Inconclusive(disturbed.disturbed, *disturbed.unknown)
        around = Around(
            warm_up_rounds=self.plan.compared,
            compiled=max(each.compiled for each in self.noted),
            others=self.others,
            peak_bytes=max(each.peak_bytes for each in self.noted),
        )
        return Rounds(self.rounds, disturbed.disturbed if disturbed else None, around)

    def _believe_alone(self, evidence: Recorder, spread: Limit) -> None:
        """Record the rates alone; raises Disturbed where the steps of a device spread too far to be compared with."""
        spreads = [Rounds(each.alone.seconds).spread for each in self.noted]
        listed = ", ".join(f"{name} {alone:.4g}" for name, alone in zip(self.names, self.alone, strict=True))
        source = f"each device in turn while the others wait, {self.plan.alone} steps: {listed}"
        evidence.record("LoRA alone", self.linear, unit="step/s", source=source)
        worst, name = max(zip(spreads, self.names, strict=True))
        evidence.record("spread of LoRA alone", worst, unit=OF_MEDIAN, source=f"{name}; limit {spread.name}")
        if spread.max is None or worst > spread.max:
            raise Disturbed(
                f"{name} alone is too noisy to compare with: its steps spread {worst:.1%}, limit {spread.name} allows "
                f"{spread.max or 0:.1%}",
                "Stop other work on this machine, let it cool, and run again.",
                repeats=UNEXPLAINED,
            )

    @property
    def _slowest(self) -> tuple[float, str]:
        """The longest forward pass of a rank as a share of their median, and which rank it is."""
        seconds = [each.forward_median_s for each in self.noted]
        longest = max(range(len(seconds)), key=lambda index: seconds[index])
        share = seconds[longest] / statistics.median_low(seconds)
        listed = ", ".join(f"{name} {1e3 * own:.4g}" for name, own in zip(self.names, seconds, strict=True))
        return share, f"{self.names[longest]} computes longest: forward passes together in ms: {listed}"

    def _record_slowest(self, evidence: Recorder) -> None:
        share, source = self._slowest
        evidence.record("slowest rank's forward pass", share, unit=OF_MEDIAN, source=source)


def measured(devices: Sequence[Device], profile: Profile) -> Scaling:
    """Train on each device alone and on all of them together.

    Raises Inconclusive where memory is short, and what `launch.run` raises.
    """
    sizes = profile.workloads.data_parallel
    plan = Plan(
        model=sizes.model or profile.workloads.lora.large,
        precision="bf16" if devices[0].kind == "cuda" else "fp32",
        compile=profile.workloads.lora.compile,
        ours=neighbours.ours(devices),
        **sizes.model_dump(exclude={"model"}),
    )
    require_memory(devices, plan)
    answers = launch.run(MODULE, devices, plan.model_dump(mode="json"), limit_s=LIMIT_S)
    return Scaling(tuple(devices), tuple(Noted.model_validate(answer) for answer in answers), plan)


def require_memory(devices: Sequence[Device], plan: Plan) -> None:
    """Raise Inconclusive where the memory of the host does not suffice for all ranks; each looks after its own GPU."""
    if devices[0].kind == "cpu":
        compute = numerics.compute_precision(plan.precision, "cpu")
        needed = len(devices) * sum(lora_setup.causal_bytes(plan.model, plan.precision, compute))
        allocation.require(devices[0], needed, f"training on {len(devices)} ranks")
        return
    usable = memory.usable()
    if usable.gib < HOST_GIB * len(devices):
        raise Inconclusive(
            f"{len(devices)} ranks need {HOST_GIB * len(devices):.0f} GiB of the host's memory; {usable.gib:.1f} GiB "
            f"are available",
            *usable.remedy,
            "End other work, then run again: free -g",
        )
