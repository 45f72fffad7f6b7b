"""Rounds: a benchmark's raw round times, its rate, and whether that is reliable.

A rate is work divided by total time. A mean of the rounds' rates would weigh fast rounds too much.
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
from dgxcert.machine.neighbours import is_busy
from dgxcert.outcome import DISTURBED, UNEXPLAINED, Disturbed, Inconclusive

GRACE = 1.02
"""How far a rate may exceed a physical bound: clocks and timers are accurate to about 2 %."""

SLOWED = 0.05
"""Share of the time above which a GPU that slowed down for heat or power explains rounds that vary."""
MIN_ROUNDS = 3
MANY = 60
"""Rounds above which the normal distribution approximates the binomial one."""


@dataclass(frozen=True)
class Work:
    """The work of one round of a benchmark: how much, on which device, and its physical bounds.

    `amount` counts units of work (tokens, steps, TFLOP). The bounds are rates in those units per second: `roofline` is
    what the profile's physical peaks allow, `ceiling` what this machine's own measured peaks allow. A rate above
    `grace` times the ceiling, or below `floor`, is a wrong measurement.
    """

    device: Device
    amount: float
    roofline: Bound
    ceiling: Bound | None = None
    floor: Bound | None = None
    grace: float = GRACE


@dataclass(frozen=True)
class Around:
    """What happened before and while rounds were timed; None where it was not measured."""

    warm_up_rounds: int = 0
    steady: bool = True
    compiled: int = 0
    others: float | None = None
    """Share of the CPU that other processes used."""
    peak_bytes: int = 0
    power_w: float | None = None
    clock_mhz: float | None = None
    hot: float | None = None
    """Share of the time in which the GPU throttled for heat."""
    busiest: float | None = None
    """Share of the CPU that other processes used in the stretch of the rounds in which it was largest."""
    braked: float | None = None
    """Share of the time in which the GPU throttled because its power supply asked for it."""

    @property
    def neighbours(self) -> str:
        """What other processes used of the CPU, where it is enough to disturb rounds; "" otherwise.

        >>> Around(others=0.02, busiest=0.61).neighbours
        'other processes used 2% of the CPU while it was timed, 61% at times'
        """
        overall, busiest = self.others or 0.0, self.busiest or 0.0
        if not is_busy(overall, busiest):
            return ""
        return f"other processes used {overall:.0%} of the CPU while it was timed, {busiest:.0%} at times"

    @property
    def slowed(self) -> str:
        """How the GPU slowed itself down, where it is enough to make rounds vary; "" otherwise."""
        for share, cause in ((self.hot, "heat"), (self.braked, "power")):
            if share is not None and share > SLOWED:
                return f"the GPU slowed down for {cause} {share:.0%} of the time"
        return ""


@dataclass(frozen=True)
class Rounds:
    """Seconds of each timed round, in order.

    `disturbance` describes other work on the device, if there was any; `unknown` says why that could not be seen.

    Raises Inconclusive where there are too few rounds, or where one took no time.

    >>> rounds = Rounds((1.00, 1.02, 0.98, 1.01))
    >>> round(rounds.total_s, 2), round(rounds.median_s, 3), f"{rounds.spread:.1%}"
    (4.01, 1.005, '1.7%')
    """

    seconds: tuple[float, ...]
    disturbance: str | None = None
    around: Around = Around()
    unknown: str = ""

    def __post_init__(self) -> None:
        if len(self.seconds) < MIN_ROUNDS:
            raise Inconclusive(f"the benchmark timed {len(self.seconds)} rounds, at least {MIN_ROUNDS} are needed")
        if min(self.seconds) <= 0:
            raise Inconclusive("a round took no time at all: the timer is wrong")

    @property
    def total_s(self) -> float:
        """Seconds of all rounds."""
        return sum(self.seconds)

    @property
    def median_s(self) -> float:
        """Median seconds of a round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The spread of the rounds as a share of their median: the larger of two measures of noise.

        The interquartile range shows rounds that vary. The distance of the mean from the median shows a single outlier,
        which the range does not show although it changes the rate as much.
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
        """What pytest-benchmark's file keeps as `extra_info`."""
        within = known_within(self.seconds)
        return {
            "disturbance": self.disturbance or self.unknown or None,
            "within": within,
            "drift": self.drift,
            **dataclasses.asdict(self.around),
        }


def known_within(seconds: Sequence[float]) -> float:
    """Half of the median's 95 % confidence interval, as a share of the median; infinite for fewer than six rounds.

    By order statistics: the number of rounds below the true median is binomial whatever their distribution, so that
    the interval from the k-th smallest to the k-th largest contains it with probability 1 - 2 P(X < k).
    """
    rank = _rank(len(seconds))
    if rank == 0:
        return math.inf
    ordered = sorted(seconds)
    return (ordered[-rank] - ordered[rank - 1]) / 2 / statistics.median(ordered)


def _rank(count: int) -> int:
    """The largest k with P(X < k) <= 2.5 % for X binomial with `count` trials and p = 0.5."""
    if count > MANY:
        return int((count - 1.96 * math.sqrt(count)) / 2)
    below, rank = 0.0, 0
    while (below := below + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return rank


def rate(evidence: Recorder, name: str, work: Work, rounds: Rounds, *, unit: str, spread: Limit) -> Quantity:
    """Record a benchmark's rate, with all that explains it.

    Raises Inconclusive where the rate is outside its physical bounds, where code was compiled meanwhile, or where it is
    not known whether something else used the device; Disturbed where something else did, and where the rounds spread
    more than `spread` allows. A rate below its limit beside busy processes is no failure: `Recorder.disturbed`.
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
        raise Disturbed(
            f"{name}: {rounds.disturbance}", "Stop the other work on this device and run again.", repeats=DISTURBED
        )
    if rounds.unknown:
        raise Inconclusive(f"{name}: {rounds.unknown}", "Run `nvidia-smi` and look for the list of processes.")
    if rounds.around.compiled:
        raise Inconclusive(
            f"{name}: code was compiled {rounds.around.compiled} times while it was timed",
            "Run it again; where it happens each time, the warm-up in the profile's `timing` is too short.",
        )
    if is_busy(rounds.around.others or 0.0):  # a burst makes rounds vary, but explains no rate that is too low
        evidence.disturbed(measured, rounds.around.neighbours)
    _believe_spread(evidence, name, rounds, spread)
    return measured


def _keep_around(evidence: Recorder, name: str, unit: str, work: Work, rounds: Rounds) -> None:
    """Record what happened around the rounds: quantities that explain a rate and are compared with nothing."""
    around, noun = rounds.around, unit.split("/")[0]
    how = "steady" if around.steady else "not steady when its time was over"
    source = f"after {around.warm_up_rounds} warm-up rounds, {how}"
    known: list[tuple[str, float | None, str, str]] = [
        ("drift", rounds.drift, OF_START, f"second half of the rounds over the first, less 1; {source}"),
        ("others", around.others, "of processors", "CPU time of other processes, /proc/stat"),
        ("busiest others", around.busiest, "of processors", "the same in the stretch in which it was largest"),
        ("peak memory", around.peak_bytes / 2**30 or None, "GiB", "torch's allocator, or the resident size on a CPU"),
        ("power", around.power_w, "W", "median of the driver's samples"),
        ("clock", around.clock_mhz, "MHz", "median of the driver's samples"),
        ("slowed down for heat", around.hot, OF_TIME, "the driver's samples and counters"),
        ("slowed down for power", around.braked, OF_TIME, "the driver's samples and counters: power brake"),
    ]
    if around.power_w is not None:
        joules = around.power_w * rounds.total_s / (work.amount * len(rounds.seconds))
        known.append(("energy", joules, f"J/{noun}", "power times time over the work done"))
    for what, value, of, how in known:
        if value is not None:
            evidence.record(f"{what} of {name}", value, unit=of, source=how)


def believe(measured: Quantity, work: Work) -> None:
    """Raise Inconclusive where a rate exceeds its roofline or ceiling by more than the grace, or is below its floor."""
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
    """Record the spread between rounds. Raises Disturbed where it exceeds its limit, or Inconclusive.

    Rounds that vary because the GPU slowed itself down are a property of the machine: no good moment is waited for.
    """
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
        noisy = f"{name} is too noisy to judge: rounds spread {rounds.spread:.1%}, limit spread allows {spread.max:.1%}"
        remedy = "Stop other work on this machine, let it cool, and run again."
        seen = rounds.around.neighbours
        if rounds.around.slowed:
            raise Inconclusive(f"{noisy}; {rounds.around.slowed}", remedy)
        raise Disturbed(
            f"{noisy}; {seen or 'no other work was seen'}", remedy, repeats=DISTURBED if seen else UNEXPLAINED
        )
