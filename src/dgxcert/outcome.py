"""What a requirement can end in, and how code says so without returning a flag."""

from enum import StrEnum


class Outcome(StrEnum):
    """How one requirement ended. Every planned requirement ends in exactly one of these."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"

    @property
    def words(self) -> str:
        """The outcome as a person reads it: `not applicable`."""
        return self.value.replace("_", " ")


class Inconclusive(Exception):  # noqa: N818 (the outcome's own name is the word everywhere)
    """The quantity could not be measured, or not believably: neither a pass nor a fail.

    `reason` says what stood in the way; `remedy` holds steps that are about looking again, which
    the requirement's own remedy (about mending the machine) is not.
    """

    def __init__(self, reason: str, *remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Wrong(Exception):  # noqa: N818 (reads as `raise Wrong`, beside Inconclusive)
    """Something was measured and it is wrong: the requirement fails.

    Workloads raise this (never AssertionError, which torch also raises when it merely could not look).
    """


class CannotStart(Exception):  # noqa: N818 (exit 3 is called that everywhere)
    """The run cannot start or go on at all: exit code 3, nothing that was written is lost."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy
