"""Rounds: a benchmark's raw round times, and whether they may be believed.

Throughput is work divided by total time, so a mean of rates can never creep in.
"""

import statistics
from dataclasses import dataclass
from typing import Any, Protocol

from dgxcert.evidence import Measured, Recorder
from dgxcert.limit import Bound, Limit
from dgxcert.outcome import Inconclusive
from dgxcert.units import OF_MEDIAN

GRACE = 1.02
"""How far above a physical bound a reading may lie: clocks and timers are good to about 2 %."""

MIN_ROUNDS = 3


class TimedWork(Protocol):
    """What a workload tells about one round: how much work, and how fast physics lets it be."""

    @property
    def work(self) -> float:
        """Units of work in one round (tokens, steps, TFLOP)."""

    @property
    def roofline(self) -> Bound:
        """The rate that the profile's physical peaks allow."""

    @property
    def ceiling(self) -> Bound | None:
        """The rate that this machine's own measured ceilings allow, where they were measured."""

    def disturbance(self) -> str | None:
        """What else used the device, or None."""


@dataclass(frozen=True)
class Rounds:
    """Seconds of each timed round, in order."""

    seconds: tuple[float, ...]

    @classmethod
    def of(cls, benchmark: Any) -> "Rounds":
        """The rounds of a pytest-benchmark fixture that has run.

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
        return cls(seconds)

    @property
    def total_s(self) -> float:
        """Seconds of all rounds together."""
        return sum(self.seconds)

    @property
    def spread(self) -> float:
        """Interquartile range of the round times over their median; one stray round does not move it."""
        quartiles = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (quartiles[2] - quartiles[0]) / statistics.median(self.seconds)


def rate(evidence: Recorder, name: str, work: TimedWork, benchmark: Any, *, unit: str, spread: Limit) -> Measured:
    """Record a benchmark's throughput and refuse to believe it where it cannot be true.

    Raises Inconclusive when the rate exceeds what physics allows, when the rounds differ more than `spread`
    permits, or when something else used the device.
    """
    rounds = Rounds.of(benchmark)
    value = work.work * len(rounds.seconds) / rounds.total_s
    measured = evidence.record(
        name,
        value,
        unit=unit,
        source=f"{len(rounds.seconds)} rounds of {work.work:g} {unit.split('/')[0]}, {rounds.total_s:.3g} s in all, "
        f"spread {rounds.spread:.1%}",
        roofline=work.roofline,
        ceiling=work.ceiling,
        rounds_s=rounds.seconds,
    )
    believe(measured, work.roofline)
    disturbance = work.disturbance()
    if disturbance:
        raise Inconclusive(f"{name}: {disturbance}", "Stop the other work on this device and run again.")
    evidence.record(
        f"spread of {name}",
        rounds.spread,
        unit=OF_MEDIAN,
        source=f"interquartile range of the rounds over their median; limit {spread.name}: {spread.source}",
    )
    if spread.max is None or rounds.spread > spread.max:
        raise Inconclusive(
            f"{name} is too noisy to judge: rounds spread {rounds.spread:.1%}, limit spread allows {spread.max or 0:.1%}",
            "Stop other work on this machine, let it cool, and run again.",
        )
    return measured


def believe(measured: Measured, bound: Bound) -> None:
    """Raise Inconclusive when a rate lies above its physical bound by more than the grace."""
    if bound.unit != measured.evidence.unit:
        raise TypeError(f"{measured.evidence.name} is in {measured.evidence.unit}, its bound in {bound.unit}")
    if measured.number > GRACE * bound.value:
        raise Inconclusive(
            f"the measurement is wrong: {measured!r}, but physics allows {bound.value:.4g} {bound.unit} ({bound.source})",
            "Check that the work waits for the device, that the model is the one named, and the profile's peaks.",
        )
