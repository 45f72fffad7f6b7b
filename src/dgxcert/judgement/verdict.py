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
    """How one planned requirement ended, and what the plan said about it."""

    outcome: Outcome
    excluded: bool = False
    """The profile makes it not applicable."""
    deselected: bool = False
    """The tier or --only deselected it before the run."""
    waived: bool = False
    """A waiver accepts that it failed or was inconclusive."""
    own: bool = False
    """It is a lab's own check, whose pass proves nothing about a whole run."""


def judge(endings: Iterable[Ending], *, certifies: bool, whole: bool) -> Verdict:
    """The verdict on a run.

    `certifies` comes from the profile; `whole` says that the whole standard tier was asked for. Anything planned that
    neither passed nor is excluded by the profile or a waiver keeps the run from passing. A waiver does not cover what
    was never measured: its author could not know what it accepts. A lab's own checks can keep a run from passing, and
    do not count as what passed where it is whole.

    >>> judge([Ending(Outcome.PASSED), Ending(Outcome.NOT_RUN, deselected=True)], certifies=True, whole=False)
    <Verdict.PARTIAL: 'PARTIAL'>
    >>> judge([Ending(Outcome.PASSED), Ending(Outcome.FAILED)], certifies=True, whole=True)
    <Verdict.REJECTED: 'REJECTED'>
    """
    ends = list(endings)
    if any(end.outcome is Outcome.FAILED and not end.waived for end in ends):
        return Verdict.REJECTED
    passed = any(end.outcome is Outcome.PASSED and not (end.own and whole) for end in ends)
    if not passed or any(_open(end) for end in ends):
        return Verdict.INCONCLUSIVE
    if not whole:
        return Verdict.PARTIAL
    return Verdict.CERTIFIED if certifies else Verdict.REHEARSED


def _open(end: Ending) -> bool:
    """Whether a requirement ended without an answer that the verdict needs."""
    if end.outcome is Outcome.NOT_APPLICABLE:
        return not end.excluded
    if end.outcome is Outcome.NOT_RUN:
        return not end.deselected
    return end.outcome is Outcome.INCONCLUSIVE and not end.waived


def count(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many requirements ended in each of the five outcomes, zeros included, in a fixed order."""
    counted = Counter(outcomes)
    return {outcome.value: counted[outcome] for outcome in Outcome}


def tally(counts: dict[str, int]) -> str:
    """The counts as one line.

    >>> tally({"passed": 12, "failed": 1, "not_run": 0})
    '12 passed, 1 failed, 0 not run'
    """
    return ", ".join(f"{number} {Outcome(name).label}" for name, number in counts.items())
