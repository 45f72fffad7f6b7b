"""Load of all GPUs: sustained bf16 matmul on each alone and then on all at once, while every GPU is sampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.rounds import SLOWED
from dgxcert.judgement.units import OF_TIME
from dgxcert.machine.device import Device
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.sampler import HERTZ, sampling
from dgxcert.probes.gpu.samples import MIN_SAMPLES, Samples
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.matmul import Matmul
from dgxcert.workloads.hardware.sustained import BUSY_PERCENT, LEAST_SAMPLES, WRONG
from dgxcert.workloads.hardware.together import comparison, neighbours, turns
from dgxcert.workloads.hardware.together.comparison import Rates, Worst, worst
from dgxcert.workloads.hardware.together.turns import Rounds

MODULE = "hardware.together.load"
LIMIT_S = 240.0
AT_ONCE, ALONE, WARM_UP = 0.8, 0.12, 0.05
"""Shares of the seconds of the profile's sustained load: with all GPUs at work, and for each of them alone."""
BUSY_SHARE = 0.9
"""Share of the samples of the common time in which each GPU must have been busy."""
SETTLED, SETTLES_S = 0.25, 1.0
"""The driver's utilisation is a mean of up to a second: so long, or this share of the time, it does not count."""

SLOW = (
    "Compare the GPUs under load: nvidia-smi -q -d CLOCK,POWER,TEMPERATURE,PERFORMANCE; nvidia-smi dmon -s pc",
    "See GPU-CLOCK-UNDER-LOAD and GPU-POWER-LIMIT of the named GPU in the same run.",
    "Give every GPU the same air: clear the space around the machine, clean the filters, and check the fans.",
    "Open a hardware case with this run folder, and name the GPU, if it stays slower than the others.",
)
BRAKED = (
    "Check the power supplies, which asked the GPUs for less power: sudo ipmitool sdr type 'Power Supply'",
    "Read the power that the machine draws while all GPUs work: sudo ipmitool dcmi power reading",
    Trait.PHYSICAL.only("Feed every power supply, each from a circuit that can give what all GPUs draw at once."),
    "Open a hardware case with this run folder if all supplies are fed and one of them is still overloaded.",
)
HOT = (
    "Read temperatures and slowdowns of all GPUs: nvidia-smi -q -d TEMPERATURE,PERFORMANCE",
    "Give it air: clear the space around it, clean the filters, keep the room below 30 °C; then run this again.",
    "Check that all fans turn: sudo ipmitool sdr type Fan",
    "Open a hardware case with this run folder if one GPU stays hotter than its siblings in a cool room.",
)


class Plan(turns.Plan):
    """What every rank is told, with the sizes of the products and the samples per second."""

    size: int
    products: int
    hertz: float


class Sampled(Rounds):
    """The rounds of one GPU with its samples while all worked; None where the rank's device is none to be sampled."""

    samples: Samples | None = None


@dataclass(frozen=True)
class Load:
    """All GPUs under one common load: their rates, and what the driver said of each of them meanwhile."""

    rates: Rates
    samples: tuple[Samples, ...]
    """Of each GPU, while all of them worked."""
    differing_of: tuple[int, ...]
    """Values of each GPU that differ from its first product in any bit."""

    def _worst(self, values: Sequence[float], how: str, *, highest: bool = True) -> Worst:
        return worst(self.rates.devices, values, how, highest=highest)

    @property
    def differing(self) -> Worst:
        """The most values of one GPU that differ from its first product."""
        return self._worst(self.differing_of, "the last product of each round beside the first, bit for bit")

    @property
    def braked(self) -> Worst:
        """The largest share of the common time in which a power brake slowed a GPU down."""
        return self._worst([each.braked for each in self.samples], self.samples[0].source_with_counters)

    @property
    def hot(self) -> Worst:
        """The largest share of the common time in which heat slowed a GPU down."""
        return self._worst([each.hot for each in self.samples], self.samples[0].source_with_counters)

    @property
    def hottest(self) -> Worst:
        """The highest temperature of all GPUs, in °C."""
        return self._worst([each.highest("temperature") for each in self.samples], self.samples[0].source)

    def keep(self, evidence: Recorder) -> None:
        """Keep the traces, and what explains the rates, which is compared with nothing: clocks, power, power caps."""
        for device, samples in zip(self.rates.devices, self.samples, strict=True):
            evidence.keep_trace(samples.trace(device.index))
        self.rates.keep(evidence, "bf16 matmul")
        source = self.samples[0].source
        cost = sum(each.cpu_share for each in self.samples)
        evidence.record("sampling of all GPUs", cost, unit="of a core", source=source)
        clocks = [each.median("clock") for each in self.samples]
        self._worst(clocks, source, highest=False).record(evidence, "lowest clock of a GPU", "MHz")
        capped = [each.power_capped for each in self.samples]
        self._worst(capped, source).record(evidence, "longest power cap of a GPU", OF_TIME)
        if all(each.has("power_w") for each in self.samples):
            watts = [each.median("power_w") for each in self.samples]
            power = self._worst(watts, source)
            evidence.record("power of all GPUs", sum(watts), unit="W", source=power.source)

    def remedy(self, warmest: Limit) -> tuple[str, ...]:
        """The remedy by what is most telling: products that differ, a power brake, heat, or one that is slow."""
        if self.differing.value:
            return WRONG
        if self.braked.value > SLOWED:
            return BRAKED
        too_warm = warmest.max is not None and self.hottest.value > warmest.max
        return HOT if too_warm or self.hot.value > SLOWED else SLOW


def measured(gpus: Sequence[Device], profile: Profile) -> Load:
    """The load of all GPUs of a machine, one process for each.

    Raises Inconclusive where a GPU was not busy or not sampled in the common time, or others used it, and what
    `comparison.compare` and `launch.run` raise.
    """
    sizes, peak = profile.workloads.sustained, profile.peak("matmul.bf16")
    at_once_s = AT_ONCE * sizes.seconds
    plan = Plan(
        size=sizes.size,
        products=sizes.products,
        peak=peak,
        alone_s=ALONE * sizes.seconds,
        warm_up_s=WARM_UP * sizes.seconds,
        at_once_s=at_once_s,
        hertz=max(HERTZ, LEAST_SAMPLES / at_once_s),
        ours=neighbours.ours(gpus),
    )
    answers = launch.run(MODULE, gpus, plan.model_dump(mode="json"), limit_s=LIMIT_S, backend="gloo")
    return judged(gpus, [Sampled.model_validate(answer) for answer in answers], plan)


def work(rank: Rank, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What one rank does: products alone, then with all others, sampled meanwhile. It returns a `Sampled`."""
    plan = Plan.model_validate(settings)
    device, products = rank.device, Matmul(rank.device, "bf16", plan.size, plan.products, plan.peak)

    def run() -> None:
        products.run()
        products.compare_with_first()

    alone = turns.alone(rank, plan, run)
    samples = None
    if device.kind == "cuda":
        with sampling(device.index, plan.hertz) as taken:
            at_once = turns.at_once(plan, run)
        samples = taken()
    else:
        at_once = turns.at_once(plan, run)
    disturbed, unknown = neighbours.seen(device, plan.ours[rank.index], samples)
    noted = Sampled(
        alone=alone,
        at_once=at_once,
        amount=products.work.amount,
        differing=products.differing,
        disturbed=disturbed,
        unknown=unknown,
        samples=samples,
    )
    return noted.model_dump(mode="json")


def judged(gpus: Sequence[Device], noted: Sequence[Sampled], plan: Plan) -> Load:
    """The load by what the ranks noted. Raises Inconclusive as `measured` says."""
    rates = comparison.compare(gpus, noted, plan, "TFLOP/s")
    samples = tuple(_while_all_worked(gpu, each.samples, rates) for gpu, each in zip(gpus, noted, strict=True))
    return Load(rates, samples, tuple(each.differing for each in noted))


def _while_all_worked(gpu: Device, samples: Samples | None, rates: Rates) -> Samples:
    """The samples of the common time. Raises Inconclusive where there are none, or the GPU was idle at times."""
    within = [one for one in samples.readings if rates.since <= one["t"] <= rates.until] if samples else []
    if samples is None or len(within) < MIN_SAMPLES:
        raise Inconclusive(
            f"GPU {gpu.index} was sampled {len(within)} times while all GPUs worked, too few to judge it",
            *comparison.QUIET,
        )
    settled = rates.since + min(SETTLES_S, SETTLED * (rates.until - rates.since))
    working = replace(samples, readings=tuple(one for one in within if one["t"] >= settled))
    try:
        percent = working.values("utilization")
    except Inconclusive as unreported:
        raise Inconclusive(f"GPU {gpu.index}: {unreported.problem}", *unreported.remedy) from unreported
    busy = sum(value >= BUSY_PERCENT for value in percent) / len(percent)
    if busy < BUSY_SHARE:
        raise Inconclusive(
            f"GPU {gpu.index} was busy in {busy:.0%} of the samples while all GPUs were to work, less than "
            f"{BUSY_SHARE:.0%}: an idle GPU proves nothing",
            "Check whether the CPU is busy with something else: top; then run this again.",
        )
    began = samples.began + within[0]["t"] - samples.readings[0]["t"]
    return replace(samples, readings=tuple(within), began=began)
