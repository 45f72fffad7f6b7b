"""Rounds: a benchmark's raw round times, and whether they may be believed.

Throughput is work divided by total time, so a mean of rates can never creep in.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.units import OF_MEDIAN, OF_START, OF_TIME
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive

GRACE = 1.02
"""How far above a physical bound a reading may lie: clocks and timers are good to about 2 %."""

MIN_ROUNDS = 3
MANY = 60
"""From so many throws on the normal distribution stands for the binomial one."""


@dataclass(frozen=True)
class Work:
    """One round of a benchmark: how much work it holds, where, and how fast it can be at all.

    `amount` counts units of work (tokens, steps, TFLOP). The bounds are rates of it per second: `roofline` is what
    the profile's physical peaks allow, `ceiling` what this machine's own measured peaks allow. Above `grace` times the
    ceiling and below `floor` the measurement contradicts itself.
    """

    device: Device
    amount: float
    roofline: Bound
    ceiling: Bound | None = None
    floor: Bound | None = None
    grace: float = GRACE


@dataclass(frozen=True)
class Around:
    """What went on before and while rounds were timed; None where there is nothing to tell of."""

    warm_up_rounds: int = 0
    steady: bool = True
    compiled: int = 0
    others: float | None = None
    """Share of the processors that others used."""
    peak_bytes: int = 0
    power_w: float | None = None
    clock_mhz: float | None = None
    hot: float | None = None
    """Share of the time in which the GPU slowed itself down for heat."""


@dataclass(frozen=True)
class Rounds:
    """Seconds of each timed round, in order, who else used the device or None, and what went on around them.

    Raises Inconclusive where they are too few, or where the clock stood still: that proves nothing.
    """

    seconds: tuple[float, ...]
    disturbance: str | None = None
    around: Around = Around()

    def __post_init__(self) -> None:
        if len(self.seconds) < MIN_ROUNDS:
            raise Inconclusive(f"the benchmark timed {len(self.seconds)} rounds, at least {MIN_ROUNDS} are needed")
        if min(self.seconds) <= 0:
            raise Inconclusive("a round took no time at all: the timer is wrong")

    @property
    def total_s(self) -> float:
        """Seconds of all rounds together."""
        return sum(self.seconds)

    @property
    def median_s(self) -> float:
        """Seconds of the middle round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """How much the rounds differ, as a share of their median: the larger of two signs of noise.

        The interquartile range sees rounds that wander; the mean's distance from the median sees the single
        stray round that the range does not, and which moves the rate as much.
        """
        quartiles = statistics.quantiles(self.seconds, n=4, method="inclusive")
        mean = statistics.fmean(self.seconds)
        return max(quartiles[2] - quartiles[0], abs(mean - self.median_s)) / self.median_s

    @property
    def drift(self) -> float:
        """How much slower the second half of the rounds is than the first, as a share; negative where it is faster."""
        half = len(self.seconds) // 2
        return statistics.median(self.seconds[-half:]) / statistics.median(self.seconds[:half]) - 1

    @property
    def as_info(self) -> dict[str, object]:
        """What pytest-benchmark's file keeps beside the rounds."""
        within = known_within(self.seconds)
        return {
            "disturbance": self.disturbance,
            "within": within,
            "drift": self.drift,
            **dataclasses.asdict(self.around),
        }


def known_within(seconds: Sequence[float]) -> float:
    """Half of the 95 % interval of the median, as a share of it, by order statistics; infinite for fewer than six.

    The number of rounds below the true median is binomial whatever their distribution, so that the interval from the
    k-th smallest to the k-th largest holds it with 1 - 2 P(X < k).
    """
    rank = _rank(len(seconds))
    if rank == 0:
        return math.inf
    ordered = sorted(seconds)
    return (ordered[-rank] - ordered[rank - 1]) / 2 / statistics.median(ordered)


def _rank(count: int) -> int:
    """The largest k for which a binomial variable of `count` fair throws is below k in 2.5 % of cases at the most."""
    if count > MANY:
        return int((count - 1.96 * math.sqrt(count)) / 2)
    below, rank = 0.0, 0
    while (below := below + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return rank


def rate(evidence: Recorder, name: str, work: Work, rounds: Rounds, *, unit: str, spread: Limit) -> Quantity:
    """Record a benchmark's throughput and refuse to believe it where it cannot be true.

    Raises Inconclusive when the rate lies outside what physics allows, when the rounds differ more than `spread`
    permits, or when something else used the device.
    """
    within, value = known_within(rounds.seconds), work.amount * len(rounds.seconds) / rounds.total_s
    bounds = {"roofline": work.roofline, "ceiling": work.ceiling}
    shares = "".join(f", {value / bound.value:.1%} of {which}" for which, bound in bounds.items() if bound)
    measured = evidence.record(
        name,
        value,
        unit=unit,
        source=f"{len(rounds.seconds)} rounds of {work.amount:.4g} {unit.split('/')[0]}, "
        f"{rounds.total_s:.3g} s in all, median {rounds.median_s:.4g} s known within {within:.1%}, "
        f"spread {rounds.spread:.1%}{shares}",
        roofline=work.roofline,
        ceiling=work.ceiling,
        rounds_s=rounds.seconds,
    )
    _keep_around(evidence, name, unit, work, rounds)
    believe(measured, work)
    if rounds.disturbance:
        raise Inconclusive(f"{name}: {rounds.disturbance}", "Stop the other work on this device and run again.")
    if rounds.around.compiled:
        raise Inconclusive(
            f"{name}: code was compiled {rounds.around.compiled} times while it was timed",
            "Run it again; where it happens each time, the warm-up in the profile's `timing` is too short.",
        )
    _believe_spread(evidence, name, rounds, spread)
    return measured


def _keep_around(evidence: Recorder, name: str, unit: str, work: Work, rounds: Rounds) -> None:
    """Keep what went on around the rounds: these are held against nothing, but explain a rate."""
    around, noun = rounds.around, unit.split("/")[0]
    how = "steady" if around.steady else "not steady when the time for it was over"
    source = f"after {around.warm_up_rounds} rounds of warming up, {how}"
    known: list[tuple[str, float | None, str, str]] = [
        ("drift", rounds.drift, OF_START, f"second half of the rounds over the first, less 1; {source}"),
        ("others", around.others, "of processors", "processor time that was not ours, /proc/stat"),
        ("peak memory", around.peak_bytes / 2**30 or None, "GiB", "torch's allocator, or the resident size on a CPU"),
        ("power", around.power_w, "W", "median of the driver's samples"),
        ("clock", around.clock_mhz, "MHz", "median of the driver's samples"),
        ("slowed down for heat", around.hot, OF_TIME, "the driver's samples and counters"),
    ]
    if around.power_w is not None:
        joules = around.power_w * rounds.total_s / (work.amount * len(rounds.seconds))
        known.append(("energy", joules, f"J/{noun}", "power times time over the work done"))
    for what, value, of, how in known:
        if value is not None:
            evidence.record(f"{what} of {name}", value, unit=of, source=how)


def believe(measured: Quantity, work: Work) -> None:
    """Raise Inconclusive when a rate lies above its roofline or ceiling by more than the grace, or below its floor."""
    for bound in (work.roofline, work.ceiling, work.floor):
        if bound is not None and bound.unit != measured.evidence.unit:
            raise TypeError(f"{measured.evidence.name} is in {measured.evidence.unit}, a bound of it in {bound.unit}")
    if measured.number > GRACE * work.roofline.value:
        raise _wrong(measured, f"physics allows {work.roofline.value:.4g}", work.roofline)
    if work.ceiling is not None and measured.number > work.grace * work.ceiling.value:
        raise _wrong(measured, f"this machine's own peaks allow {work.ceiling.value:.4g}", work.ceiling)
    if work.floor is not None and measured.number < work.floor.value:
        raise _wrong(measured, f"it cannot be below {work.floor.value:.4g}", work.floor)


def _wrong(measured: Quantity, bounded: str, bound: Bound) -> Inconclusive:
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
