"""Rounds: a benchmark's raw round times, and whether they may be believed.

Throughput is work divided by total time, so a mean of rates can never creep in.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from dgxcert.device import Device
from dgxcert.evidence import Measured, Recorder
from dgxcert.limit import Bound, Limit
from dgxcert.outcome import Inconclusive
from dgxcert.units import OF_MEDIAN

GRACE = 1.02
"""How far above a physical bound a reading may lie: clocks and timers are good to about 2 %."""

MIN_ROUNDS = 3


@dataclass(frozen=True)
class Work:
    """One round of a benchmark: how much work it holds, where, and how fast it can be at all.

    `amount` counts units of work (tokens, steps, TFLOP). The bounds are rates of it per second: `roofline` is what
    the profile's physical peaks allow, `ceiling` what this machine's own measured peaks allow, and below `floor`
    the measurement contradicts itself.
    """

    device: Device
    amount: float
    roofline: Bound
    ceiling: Bound | None = None
    floor: Bound | None = None


@dataclass(frozen=True)
class Rounds:
    """Seconds of each timed round, in order, and who else used the device, or None."""

    seconds: tuple[float, ...]
    disturbance: str | None = None

    @classmethod
    def of(cls, benchmark: Any, device: Device) -> "Rounds":
        """The rounds of a pytest-benchmark fixture that has just run; asks at once who else used the device.

        Raises Inconclusive when nothing was timed, as with --benchmark-disable: a benchmark that did not run
        proves nothing.
        """
        metadata = getattr(benchmark, "stats", None)
        seconds = tuple(metadata.stats.data) if metadata is not None else ()
        if len(seconds) < MIN_ROUNDS:
            raise Inconclusive(
                f"the benchmark timed {len(seconds)} rounds, at least {MIN_ROUNDS} are needed",
                "Run without --benchmark-disable, --benchmark-skip and other options that switch timing off.",
            )
        if min(seconds) <= 0:
            raise Inconclusive("a round took no time at all: the timer is wrong")
        return cls(seconds, device.disturbance())

    @property
    def total_s(self) -> float:
        """Seconds of all rounds together."""
        return sum(self.seconds)

    @property
    def spread(self) -> float:
        """How much the rounds differ, as a share of their median: the larger of two signs of noise.

        The interquartile range sees rounds that wander; the mean's distance from the median sees the single
        stray round that the range does not, and which moves the rate as much.
        """
        quartiles = statistics.quantiles(self.seconds, n=4, method="inclusive")
        median = statistics.median(self.seconds)
        return max(quartiles[2] - quartiles[0], abs(statistics.fmean(self.seconds) - median)) / median


def rate(evidence: Recorder, name: str, work: Work, rounds: Rounds, *, unit: str, spread: Limit) -> Measured:
    """Record a benchmark's throughput and refuse to believe it where it cannot be true.

    Raises Inconclusive when the rate lies outside what physics allows, when the rounds differ more than `spread`
    permits, or when something else used the device.
    """
    measured = evidence.record(
        name,
        work.amount * len(rounds.seconds) / rounds.total_s,
        unit=unit,
        source=f"{len(rounds.seconds)} rounds of {work.amount:.4g} {unit.split('/')[0]}, "
        f"{rounds.total_s:.3g} s in all, spread {rounds.spread:.1%}",
        roofline=work.roofline,
        ceiling=work.ceiling,
        rounds_s=rounds.seconds,
    )
    believe(measured, work)
    if rounds.disturbance:
        raise Inconclusive(f"{name}: {rounds.disturbance}", "Stop the other work on this device and run again.")
    _believe_spread(evidence, name, rounds, spread)
    return measured


def believe(measured: Measured, work: Work) -> None:
    """Raise Inconclusive when a rate lies above its roofline by more than the grace, or below its floor."""
    for bound in (work.roofline, work.ceiling, work.floor):
        if bound is not None and bound.unit != measured.evidence.unit:
            raise TypeError(f"{measured.evidence.name} is in {measured.evidence.unit}, a bound of it in {bound.unit}")
    if measured.number > GRACE * work.roofline.value:
        raise _wrong(measured, f"physics allows {work.roofline.value:.4g}", work.roofline)
    if work.floor is not None and measured.number < work.floor.value:
        raise _wrong(measured, f"it cannot be below {work.floor.value:.4g}", work.floor)


def _wrong(measured: Measured, bounded: str, bound: Bound) -> Inconclusive:
    return Inconclusive(
        f"the measurement is wrong: {measured!r}, but {bounded} {bound.unit} ({bound.source})",
        "Check that the work waits for the device, that the model is the one named, and the profile's peaks.",
    )


def _believe_spread(evidence: Recorder, name: str, rounds: Rounds, spread: Limit) -> None:
    """Keep the spread between rounds; too much of it and the rate says nothing."""
    evidence.record(
        f"spread of {name}",
        rounds.spread,
        unit=OF_MEDIAN,
        source="interquartile range of the rounds, or their mean's distance from the median; "
        f"limit {spread.name}: {spread.source}",
    )
    if spread.max is None:
        raise Inconclusive(f"limit {spread.name} has no max", f"Give limit {spread.name} a max in the profile.")
    if rounds.spread > spread.max:
        raise Inconclusive(
            f"{name} is too noisy to judge: rounds spread {rounds.spread:.1%}, limit spread allows {spread.max:.1%}",
            "Stop other work on this machine, let it cool, and run again.",
        )
