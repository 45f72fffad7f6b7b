"""Comparison: whether a run is slower than one or several others by more than their own spread explains. Pure.

Median rounds are compared. A single benchmark is wrongly called slower in at most 1 of 40 cases where its medians
scatter as those of the reference do. Of the many benchmarks of a run some will be: measure a single alarm again before
you act on it.
"""

import math
import statistics
from dataclasses import dataclass
from enum import StrEnum

from dgxcert.record.timings import Timing

BETWEEN = 0.02
"""Assumed scatter of medians between runs, which the rounds of one run cannot show."""
LEAST = 0.01
"""A smaller difference is never reported."""
ENOUGH = 3
"""Runs in a reference from which on their own scatter is used."""
MOST = 0.2
"""The most of a reference's own scatter that is believed: otherwise one whose rounds were made to scatter, or measured
beside other work, would let every slowdown pass. Rounds of a machine that passed spread by 10 % at most."""
MOST_OWN = 0.5
"""A run whose own rounds differ by more shows no speed."""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for 97.5 % on one side and 1 to 10 degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2)."""
STUDENT_BEYOND = 2.228
"""The last of them, for more: a little too wide, never too narrow."""


class Change(StrEnum):
    """How one benchmark compares with the reference."""

    SAME = "same"
    SLOWER = "slower"
    FASTER = "faster"
    MISSING = "missing"
    INCOMPARABLE = "not comparable"


@dataclass(frozen=True)
class Compared:
    """One benchmark compared: how much longer a unit of work takes, from where on that counts, or why it cannot be."""

    requirement: str
    change: Change
    more: float | None = None
    """0.05: it takes 5 % longer."""
    tolerance: float | None = None
    """The largest difference that still counts as the same."""
    reason: str = ""


def compare(reference: list[dict[str, Timing]], run: dict[str, Timing]) -> list[Compared]:
    """Every benchmark that either side has, none skipped in silence. `reference` holds one run or several."""
    names = sorted({name for timings in (*reference, run) for name in timings})
    return [
        _compare(name, [timings[name] for timings in reference if name in timings], run.get(name)) for name in names
    ]


def _compare(name: str, before: list[Timing], after: Timing | None) -> Compared:
    if not before or after is None:
        return Compared(name, Change.MISSING, reason="not in the reference" if not before else "not in this run")
    if after.spoiled:
        return Compared(name, Change.INCOMPARABLE, reason=after.spoiled)
    valid = [timing for timing in before if not timing.spoiled]
    if not valid:
        return Compared(name, Change.INCOMPARABLE, reason=f"in the reference: {before[0].spoiled}")
    if any(not math.isclose(timing.amount, after.amount, rel_tol=1e-9) for timing in valid):
        return Compared(name, Change.INCOMPARABLE, reason="a round is a different amount of work in the reference")
    if not all(math.isfinite(timing.within) for timing in (*valid, after)):
        return Compared(name, Change.INCOMPARABLE, reason="too few rounds to know their median")
    own = math.hypot(after.within, after.wander)
    if not own <= MOST_OWN:  # NaN as well
        return Compared(name, Change.INCOMPARABLE, reason=f"its own rounds differ by {own:.0%}")
    allowed = tolerance(valid, after)
    more = after.per_unit_s / statistics.fmean(timing.per_unit_s for timing in valid) - 1
    change = Change.SLOWER if more > allowed else Change.FASTER if more < -allowed else Change.SAME
    theirs = scatter(valid)
    capped = "" if theirs <= MOST else f"the reference scatters by {theirs:.0%}, of which {MOST:.0%} is believed"
    return Compared(name, change, more, allowed, capped)


def tolerance(before: list[Timing], after: Timing) -> float:
    """How much longer a run may take before it counts as slower, as a share.

    With `ENOUGH` runs before it, Student's prediction interval for one more of their kind. With fewer, the root of the
    sum of squares of both medians' intervals, of how far either run drifted, and of the scatter assumed between runs.
    Of what the reference contributes, no more than `MOST` counts.

    >>> steady = Timing("DECODE-SPEED", amount=64.0, seconds=(4.0,) * 9)
    >>> tolerance([steady], steady), tolerance([steady] * 5, steady)
    (0.02, 0.01)
    """
    theirs = min(scatter(before), MOST)
    if len(before) < ENOUGH:
        return math.hypot(after.within, after.wander, theirs, BETWEEN)
    return max(LEAST, theirs, after.within)


def scatter(before: list[Timing]) -> float:
    """How much a reference scatters by itself, as a share: all that `tolerance` takes from it, before any cap.

    >>> scatter([Timing("DECODE-SPEED", amount=64.0, seconds=(4.0,) * 9)])
    0.0
    """
    if len(before) < ENOUGH:
        within = statistics.fmean(timing.within for timing in before)
        return math.hypot(within, statistics.fmean(timing.wander for timing in before))
    medians = [timing.per_unit_s for timing in before]
    spread = statistics.stdev(medians) / statistics.fmean(medians)
    return student(len(before) - 1) * spread * math.sqrt(1 + 1 / len(before))


def student(degrees_of_freedom: int) -> float:
    """Student's t for 97.5 % on one side.

    >>> student(2), student(40)
    (4.303, 2.228)
    """
    return STUDENT[degrees_of_freedom - 1] if degrees_of_freedom <= len(STUDENT) else STUDENT_BEYOND


def exit_code(benchmarks: list[Compared]) -> int:
    """0: all were compared and none is slower; 1: one is slower; 2: one could not be compared, or there is none.

    >>> exit_code([Compared("DECODE-SPEED", Change.SAME), Compared("LORA-SPEED", Change.MISSING)])
    2
    """
    changes = {benchmark.change for benchmark in benchmarks}
    if Change.SLOWER in changes:
        return 1
    return 2 if not benchmarks or changes & {Change.MISSING, Change.INCOMPARABLE} else 0
