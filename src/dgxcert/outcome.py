"""What a requirement can end in, and the exceptions by which code says so, each with a problem and its remedy."""

from enum import StrEnum


class Outcome(StrEnum):
    """How one requirement ended. Every planned requirement ends in exactly one of these."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"

    @property
    def label(self) -> str:
        """The outcome as text for people.

        >>> Outcome.NOT_APPLICABLE.label
        'not applicable'
        """
        return self.value.replace("_", " ")


MOST_REPEATS = 2
"""How often a requirement that ended inconclusive may be measured again in one run and boot."""
DISTURBED, UNEXPLAINED = MOST_REPEATS, 1
"""Repeats that a run makes by itself: of what others disturbed, and of rounds that vary although nobody was seen."""


class DgxcertError(Exception):
    """Base of all exceptions that dgxcert raises on purpose: a problem, and what to do about it.

    >>> str(DgxcertError("There is no profile 'spark'.", "List the profiles: dgxcert list"))
    "There is no profile 'spark'. List the profiles: dgxcert list"
    """

    def __init__(self, problem: str, *remedy: str) -> None:
        super().__init__(problem, *remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        sentence = self.problem if not self.remedy or self.problem.endswith((".", "?", "!")) else f"{self.problem}."
        return " ".join((sentence, *self.remedy))


class Inconclusive(DgxcertError):  # noqa: N818 (named as the outcome is)
    """The quantity could not be measured, or the measurement is unreliable: neither a pass nor a fail.

    Its remedy says how to measure again; without one the requirement's own is shown, how to fix the machine.

    >>> raise Inconclusive("nvidia-smi timed out after 30 s", "Restart the machine.")
    Traceback (most recent call last):
    dgxcert.outcome.Inconclusive: nvidia-smi timed out after 30 s. Restart the machine.
    """


class Disturbed(Inconclusive):
    """A benchmark met something that may be over by the end of its stage, so the run measures it again by itself.

    `repeats` is how many repeats this ending allows, counted over all attempts of the run. With a neighbour in sight
    that is the most there is. Rounds that vary although nobody else was seen are suspicious on a machine that is to be
    certified: a clock that drops in bursts does that too, and would meet a good moment in one of many tries. One repeat
    tells chance from habit; after a second time the machine, not its guests, has to be looked at.

    >>> raise Disturbed("other processes used 61% of the CPU", "Stop them.", repeats=DISTURBED)
    Traceback (most recent call last):
    dgxcert.outcome.Disturbed: other processes used 61% of the CPU. Stop them.
    """

    def __init__(self, problem: str, *remedy: str, repeats: int) -> None:
        super().__init__(problem, *remedy)
        self.repeats = repeats


class AfterWork(Inconclusive):
    """A check met something that only the work of this run can decide, so the run measures it once more after the work.

    A line of the driver that a sleeping display causes as well as a GPU about to fail is such a thing: what computes
    right after it decides. Where the work does not decide it, the requirement stays inconclusive.

    >>> raise AfterWork("possible bad register read", "Restart the machine.")
    Traceback (most recent call last):
    dgxcert.outcome.AfterWork: possible bad register read. Restart the machine.
    """


class Wrong(DgxcertError):  # noqa: N818 (reads as `raise Wrong`)
    """Something was measured and it is wrong: the requirement fails.

    Workloads raise this and never AssertionError: torch raises that one where it could not compute at all.

    >>> raise Wrong("logits are not finite")
    Traceback (most recent call last):
    dgxcert.outcome.Wrong: logits are not finite
    """


class CannotStart(DgxcertError):  # noqa: N818 (the name of exit code 3)
    """The run cannot start or continue: exit code 3. Nothing that was written is lost."""
