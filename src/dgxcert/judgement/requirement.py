"""A requirement: one sentence that must be true of a machine, as one pytest test."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., None])

ID = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)*")
MIN_BUDGET_S = 60.0


class Tier(StrEnum):
    """How much is run: each tier holds all of the ones before it."""

    QUICK = "quick"
    STANDARD = "standard"
    BURN_IN = "burn-in"

    def includes(self, other: "Tier") -> bool:
        """Whether a run of this tier runs a requirement of the other."""
        order = list(Tier)
        return order.index(other) <= order.index(self)


class Stage(StrEnum):
    """Where a requirement is measured, in the order in which a run goes through them."""

    HOST = "host"
    """On the machine itself, before anything is built."""
    IMAGE = "image"
    """On the machine itself, once the image is there."""
    WORK = "work"
    """Where Hugging Face work is done: in the container, or in this very environment (`native`)."""
    AFTER = "after"
    """On the machine itself, once all work is done: what it has left behind."""


@dataclass(frozen=True)
class Requirement:
    """What the author of a check declares."""

    id: str
    title: str
    why: str
    remedy: tuple[str, ...]
    tier: Tier = Tier.QUICK
    takes_s: float = 1.0
    budget_s: float = MIN_BUDGET_S
    stage: Stage = Stage.WORK
    gate: bool = False
    resumes: bool = False
    real_weights: bool = False


def requirement(
    id: str,
    *,
    title: str = "",
    why: str,
    remedy: tuple[str, ...],
    tier: str = "quick",
    takes_s: float = 1.0,
    budget_s: float = MIN_BUDGET_S,
    stage: str = "work",
    gate: bool = False,
    resumes: bool = False,
    real_weights: bool = False,
) -> Callable[[Test], Test]:
    """Mark a test as a requirement.

    `why` names the Hugging Face work that suffers; `remedy` holds ordered steps: look, mend, escalate.
    `takes_s` is what a healthy machine needs (for the expected time left); beyond `budget_s` the
    supervisor kills the process and records the requirement as inconclusive. `stage` says where it is
    measured; unless a `gate` passes, no image is built and no container started. One that `resumes`
    works for the minutes that the user asks for, beside `takes_s` and `budget_s`, and goes on where it was killed.
    One of `real_weights` works on a checkpoint from the Hub, and only where the user asks for those.

    Raises ValueError for an id that is not UPPER-CASE-WORDS, an empty why or remedy, or a budget
    that a healthy machine would exceed.
    """
    if not ID.fullmatch(id):
        raise ValueError(f"requirement id {id!r}: wanted words in capitals joined by '-', like GPU-PRESENT")
    if isinstance(remedy, str) or not remedy or not all(step.strip() for step in remedy):
        raise ValueError(f"requirement {id}: `remedy` must be a tuple of one or more non-empty steps")
    if not why.strip():
        raise ValueError(f"requirement {id}: `why` must say which Hugging Face work suffers")
    if budget_s <= takes_s:
        raise ValueError(f"requirement {id}: budget_s {budget_s} must exceed takes_s {takes_s}")
    declared = Requirement(
        id, title, why, tuple(remedy), Tier(tier), takes_s, budget_s, Stage(stage), gate, resumes, real_weights
    )

    def mark(test: Test) -> Test:
        test.dgxcert_requirement = declared  # type: ignore[attr-defined]  # a function carries its own attributes
        return test

    return mark
