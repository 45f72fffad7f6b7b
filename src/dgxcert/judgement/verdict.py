"""The verdict: what a run proves. A pure function of the plan and the outcomes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dgxcert.outcome import Outcome


class Verdict(StrEnum):
    """What a run proves; the exit code belongs to it."""

    CERTIFIED = "CERTIFIED"
    REHEARSED = "REHEARSED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> int:
        """What `dgxcert validate` exits with; 3 is kept for runs that could not start."""
        return {Verdict.REJECTED: 1, Verdict.INCONCLUSIVE: 2}.get(self, 0)


@dataclass(frozen=True)
class Ending:
    """How one planned requirement ended, and what the plan had said of it."""

    outcome: Outcome
    excused: bool = False
    """The profile says that it does not apply."""
    left_out: bool = False
    """The tier or --only left it out before the run."""
    waived: bool = False
    """Somebody answers for it, should it have been measured and not hold, or could it not be measured."""


def judge(endings: Iterable[Ending], *, certifies: bool, whole: bool) -> Verdict:
    """The verdict on a run.

    `certifies` comes from the profile; `whole` says that the whole standard tier was asked for. Whatever was
    planned and has neither passed nor been excused by the profile or a waiver keeps the run from passing. What was
    never measured is not waived: nobody knows what he would answer for.
    """
    ends = list(endings)
    if any(end.outcome is Outcome.FAILED and not end.waived for end in ends):
        return Verdict.REJECTED
    if not any(end.outcome is Outcome.PASSED for end in ends) or any(_lost(end) for end in ends):
        return Verdict.INCONCLUSIVE
    if not whole:
        return Verdict.PARTIAL
    return Verdict.CERTIFIED if certifies else Verdict.REHEARSED


def _lost(end: Ending) -> bool:
    """Whether a requirement ended in a way that leaves its question open."""
    if end.outcome is Outcome.NOT_APPLICABLE:
        return not end.excused
    if end.outcome is Outcome.NOT_RUN:
        return not end.left_out
    return end.outcome is Outcome.INCONCLUSIVE and not end.waived


def count(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many ended in each of the five outcomes, zeros included, in a fixed order."""
    counted = Counter(outcomes)
    return {outcome.value: counted[outcome] for outcome in Outcome}


def tally(counts: dict[str, int]) -> str:
    """The five counts as one line: `12 passed, 1 failed, 0 inconclusive, ...`."""
    return ", ".join(f"{number} {Outcome(name).words}" for name, number in counts.items())
