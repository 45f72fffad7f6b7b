"""Comparison: each GPU's rate at once with the others beside its rate alone, and beside that of its siblings. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dgxcert.judgement.evidence import Quantity, Recorder, format_quantity
from dgxcert.judgement.rounds import GRACE
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.hardware.together.turns import Plan, Rounds, Stretch

OVERLAP = 0.8
"""Share of the requested seconds in which all must have worked at once."""
DECIMALS = 3
QUIET = ("End other work on the GPUs and on the machine, then run this again.",)


@dataclass(frozen=True)
class Worst:
    """The worst value of several GPUs, and which one it is of with the values of all, for evidence."""

    value: float
    gpu: int
    source: str

    def record(self, evidence: Recorder, name: str, unit: str = "") -> Quantity:
        """Record it, and return it for comparing.

        >>> slow = Worst(0.71, gpu=1, source="GPU 1, the lowest of 2: GPU 0 1.29, GPU 1 0.71")
        >>> slow.record(Recorder(), "slowest beside its siblings", "of median")
        <slowest beside its siblings is 0.71 of median>
        """
        return evidence.record(name, self.value, unit=unit, source=self.source)


def worst(devices: Sequence[Device], values: Sequence[float], how: str, *, highest: bool = False) -> Worst:
    """The lowest value of several GPUs, or the highest, with all of them in its source.

    >>> two = [Device("cuda", index, "NVIDIA H200") for index in (0, 1)]
    >>> worst(two, [0.99, 0.71], "rate at once over rate alone").source
    'GPU 1, the lowest of 2: rate at once over rate alone; GPU 0 0.99, GPU 1 0.71; spread 0.28'
    """
    place = (max if highest else min)(range(len(values)), key=lambda number: values[number])
    listed = ", ".join(f"GPU {device.index} {_short(value)}" for device, value in zip(devices, values, strict=True))
    gpu, which = devices[place].index, "highest" if highest else "lowest"
    spread = _short(max(values) - min(values))
    source = f"GPU {gpu}, the {which} of {len(values)}: {how}; {listed}; spread {spread}"
    return Worst(round(float(values[place]), 6), gpu, source)


def _short(value: float) -> str:
    return format_quantity(round(float(value), DECIMALS))


@dataclass(frozen=True)
class Rates:
    """The rates of all GPUs alone and at once, in `unit`, and the times between which all of them worked at once."""

    devices: tuple[Device, ...]
    alone: tuple[float, ...]
    at_once: tuple[float, ...]
    unit: str
    since: float
    until: float

    @property
    def drop(self) -> Worst:
        """The lowest rate at once as a share of the same GPU's rate alone."""
        shares = [mine / before for mine, before in zip(self.at_once, self.alone, strict=True)]
        return worst(self.devices, shares, "rate with all GPUs at work over rate alone")

    @property
    def siblings(self) -> Worst:
        """The lowest rate at once as a share of the median of the GPUs of the same model.

        Of an even number the better one in the middle is the median: so one of two, and two of four, can be found slow.
        """
        shares = [
            mine / statistics.median_high(self._rates_of(device.product))
            for device, mine in zip(self.devices, self.at_once, strict=True)
        ]
        models = len({device.product for device in self.devices})
        of = "its siblings" if models == 1 else f"the GPUs of its own model, of which there are {models}"
        return worst(self.devices, shares, f"rate with all GPUs at work over the median of {of}")

    def _rates_of(self, product: str) -> list[float]:
        return [rate for device, rate in zip(self.devices, self.at_once, strict=True) if device.product == product]

    def keep(self, evidence: Recorder, what: str) -> None:
        """Record the rates themselves, which are compared with nothing: of all GPUs together, and the lowest ones."""
        source = f"all {len(self.devices)} GPUs at once, {self.until - self.since:.1f} s in common"
        evidence.record(f"{what} of all GPUs together", sum(self.at_once), unit=self.unit, source=source)
        for name, rates in (("at once", self.at_once), ("alone", self.alone)):
            worst(self.devices, rates, f"{self.unit} {name}").record(evidence, f"lowest {what} {name}", self.unit)


def compare(devices: Sequence[Device], rounds: Sequence[Rounds], plan: Plan, unit: str) -> Rates:
    """The rates of all GPUs, each by its rounds within the time in which all of them worked.

    Raises Inconclusive where other processes used a GPU, where the GPUs did not work at once for most of the planned
    seconds, where too few rounds ended, and where a rate is above its physical peak.
    """
    _require_undisturbed(rounds)
    since, until = common(devices, [each.at_once for each in rounds], plan.at_once_s)
    each_of = list(zip(devices, rounds, strict=True))
    alone = tuple(one.amount * one.alone.rounds_per_s(gpu, one.alone.began, one.alone.end) for gpu, one in each_of)
    at_once = tuple(one.amount * one.at_once.rounds_per_s(gpu, since, until) for gpu, one in each_of)
    fastest = worst(devices, [max(pair) for pair in zip(alone, at_once, strict=True)], unit, highest=True)
    if fastest.value > GRACE * plan.peak.value:
        raise Inconclusive(
            f"the measurement is wrong: GPU {fastest.gpu} reached {fastest.value:.4g} {unit}, but physics allows "
            f"{plan.peak.value:.4g} {plan.peak.unit} ({plan.peak.source})",
            "Check the profile's peaks, and that the work waits for the device.",
        )
    return Rates(tuple(devices), alone, at_once, unit, since, until)


def common(devices: Sequence[Device], stretches: Sequence[Stretch], seconds: float) -> tuple[float, float]:
    """The times between which all GPUs worked. Raises Inconclusive where that is too short, naming the last and first.

    >>> one = Device("cuda", 0, "NVIDIA H200")
    >>> common([one, one], [Stretch(began=1.0, ended=(9.0,)), Stretch(began=1.5, ended=(9.5,))], seconds=8.0)
    (1.5, 9.0)
    """
    latest = max(range(len(stretches)), key=lambda number: stretches[number].began)
    first = min(range(len(stretches)), key=lambda number: stretches[number].end)
    since, until = stretches[latest].began, stretches[first].end
    if until - since < OVERLAP * seconds:
        raise Inconclusive(
            f"all GPUs worked at once for {max(0.0, until - since):.1f} s of {seconds:.1f}: GPU "
            f"{devices[latest].index} began last, GPU {devices[first].index} ended first",
            *QUIET,
        )
    return since, until


def _require_undisturbed(rounds: Sequence[Rounds]) -> None:
    for each in rounds:
        if each.disturbed:
            raise Inconclusive(each.disturbed, *(each.unknown or QUIET))
