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

    Its remedy says how to measure again; the requirement's own remedy says how to fix the machine.

    >>> raise Inconclusive("nvidia-smi timed out after 30 s", "Restart the machine.")
    Traceback (most recent call last):
    dgxcert.outcome.Inconclusive: nvidia-smi timed out after 30 s. Restart the machine.
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
