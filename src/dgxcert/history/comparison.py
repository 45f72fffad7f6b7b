"""Comparison: is a run slower than another, or than several, by more than their own spread explains? Pure.

What is compared is the median round. A benchmark alone is wrongly called slower in 1 of 40 cases at the most where its
medians scatter as the reference's do; of many benchmarks in a run some will be, so that a single alarm is measured
again before anybody acts on it.
"""

import math
import statistics
from dataclasses import dataclass
from enum import StrEnum

from dgxcert.record.timings import Timing

BETWEEN = 0.02
"""Between two runs medians move by more than their rounds tell; with one run unknown, so that it is assumed."""
LEAST = 0.01
"""A smaller difference is never called one."""
ENOUGH = 3
"""From so many runs of a reference on their own scatter is used."""
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t for 97.5 % on one side and 1 to 10 degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2)."""
STUDENT_BEYOND = 2.228


class Change(StrEnum):
    """What came of one benchmark."""

    SAME = "same"
    SLOWER = "slower"
    FASTER = "faster"
    MISSING = "missing"
    INCOMPARABLE = "not comparable"


@dataclass(frozen=True)
class Compared:
    """One benchmark in both: how much more time a unit of work takes, and how much would be noticed; or why not."""

    requirement: str
    change: Change
    more: float | None = None
    """0.05: it takes 5 % longer."""
    tolerance: float | None = None
    reason: str = ""


def compare(reference: list[dict[str, Timing]], run: dict[str, Timing]) -> list[Compared]:
    """Every benchmark that either side has: none is left out in silence. `reference` holds one run or several."""
    names = sorted({name for each in (*reference, run) for name in each})
    return [_compare(name, [each[name] for each in reference if name in each], run.get(name)) for name in names]


def _compare(name: str, before: list[Timing], after: Timing | None) -> Compared:
    if not before or after is None:
        return Compared(name, Change.MISSING, reason="not in the reference" if not before else "not in this run")
    if after.spoiled:
        return Compared(name, Change.INCOMPARABLE, reason=after.spoiled)
    sound = [each for each in before if not each.spoiled]
    if not sound:
        return Compared(name, Change.INCOMPARABLE, reason=f"in the reference: {before[0].spoiled}")
    if any(not math.isclose(each.amount, after.amount, rel_tol=1e-9) for each in sound):
        return Compared(name, Change.INCOMPARABLE, reason="a round holds another amount of work on either side")
    if not all(math.isfinite(each.within) for each in (*sound, after)):
        return Compared(name, Change.INCOMPARABLE, reason="too few rounds to know their median")
    allowed = tolerance(sound, after)
    more = after.per_unit_s / statistics.fmean(each.per_unit_s for each in sound) - 1
    change = Change.SLOWER if more > allowed else Change.FASTER if more < -allowed else Change.SAME
    return Compared(name, change, more, allowed)


def tolerance(before: list[Timing], after: Timing) -> float:
    """How much longer a run may take before it is called slower, as a share.

    With a few runs before it: Student's interval for one more of their kind. With one or two: the intervals of both
    medians, how far either wandered, and what is assumed between runs.
    """
    if len(before) < ENOUGH:
        own = (after.within, after.wander)
        theirs = (statistics.fmean(each.within for each in before), statistics.fmean(each.wander for each in before))
        widths = (*own, *theirs, BETWEEN)
        return math.sqrt(sum(width**2 for width in widths))
    medians = [each.per_unit_s for each in before]
    scatter = statistics.stdev(medians) / statistics.fmean(medians)
    free = len(before) - 1
    factor = STUDENT[free - 1] if free <= len(STUDENT) else STUDENT_BEYOND
    return max(LEAST, factor * scatter * math.sqrt(1 + 1 / len(before)), after.within)


def exit_code(found: list[Compared]) -> int:
    """0: nothing is slower and everything was compared; 1: something is slower; 2: something could not be compared."""
    changes = {each.change for each in found}
    if Change.SLOWER in changes:
        return 1
    return 2 if not found or changes & {Change.MISSING, Change.INCOMPARABLE} else 0
