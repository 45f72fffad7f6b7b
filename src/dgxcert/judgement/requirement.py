"""A requirement: one sentence that must be true of a machine, as one pytest test.

>>> @requirement(
...     "GPU-PRESENT",
...     title="The driver sees every GPU",
...     why="Without a GPU transformers falls back to the CPU.",
...     remedy=("Run `nvidia-smi` and read its message.", "Restart: sudo reboot"),
... )
... def test_gpu_is_present(profile, machine, evidence):
...     assert evidence.record("GPUs", len(machine.gpus), source="NVML") == profile.gpu.expected

What becomes of it, each step adding to the one before:

- `Requirement`: what `@requirement` declares (id, title, why, remedy, tier, ...).
- `plan.catalogue.Entry`, a Requirement: one set of parameters, with its key and its test.
- `plan.selection.Planned`, an Entry: whether this run measures it, or why not. Kept in the record's first line.
- `judgement.trial.Trial`: the requirement while its test runs, with the evidence that it records.
- `record.journal.Finished`: how the trial ended, one line of the record.
- `record.run.Result`: Planned and Finished together, as `run.json` and the reports show them.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

Test = TypeVar("Test", bound=Callable[..., None])

ID = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)*")
MIN_BUDGET_S = 60.0
OWN, OWN_ID, OWN_LIMIT = "own", "OWN-", "own."
"""The group of a lab's own checks, and how their ids and the limits for them begin. Nothing of the suite begins so."""


class Tier(StrEnum):
    """How much is run: each tier includes all tiers before it."""

    QUICK = "quick"
    STANDARD = "standard"
    BURN_IN = "burn-in"

    def includes(self, other: "Tier") -> bool:
        """Whether a run of this tier measures a requirement of the other.

        >>> Tier.BURN_IN.includes(Tier.QUICK), Tier.QUICK.includes(Tier.STANDARD)
        (True, False)
        """
        order = list(Tier)
        return order.index(other) <= order.index(self)


class Stage(StrEnum):
    """Where a requirement is measured, in the order in which a run goes through them."""

    HOST = "host"
    """On the machine itself, before anything is built."""
    IMAGE = "image"
    """On the machine itself, after the image was built."""
    WORK = "work"
    """Where Hugging Face work is done: in the container, or in this environment (`native`)."""
    AFTER = "after"
    """On the machine itself, after all work is done: what it left behind."""


class Requirement(BaseModel):
    """What the author of a check declares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    why: str
    remedy: tuple[str, ...]
    tier: Tier = Tier.QUICK
    takes_s: float = 0.3
    budget_s: float = MIN_BUDGET_S
    stage: Stage = Stage.WORK
    gate: bool = False
    resumes: bool = False
    real_weights: bool = False
    alone: bool = False
    """Whether nothing is measured beside it, though it is about one GPU of several: see `plan.lanes`."""


def requirement(
    id: str,
    *,
    title: str,
    why: str,
    remedy: tuple[str, ...],
    tier: str = "quick",
    takes_s: float = 0.3,
    budget_s: float = MIN_BUDGET_S,
    stage: str = "work",
    gate: bool = False,
    resumes: bool = False,
    real_weights: bool = False,
    alone: bool = False,
) -> Callable[[Test], Test]:
    """Mark a test as a requirement.

    `title` is what the test proves, as a sentence without its full stop. `why` names the Hugging Face work that
    suffers. `remedy` holds ordered steps: look, fix, escalate. `takes_s` is what a healthy machine needs, for the
    expected time left; beyond `budget_s` the supervisor kills the process and records the requirement as
    inconclusive. `stage` is where it is measured: host, image, work or after. Unless every `gate` passes, no image is
    built and no container is started. A requirement that `resumes` works for the minutes that the user asks for, in
    addition to `takes_s` and `budget_s`, and continues where it was killed. One with `real_weights` needs a checkpoint
    from the Hub, and runs only with `--weights hub`. On a machine with several GPUs what is about one of them is
    measured beside the others, unless it is `alone`: where it measures what they share, as the host's memory and links.

    Raises ValueError for an id that is not UPPER-CASE-WORDS, an empty title, why or remedy, a title with a full stop,
    or a budget that a healthy machine would exceed.
    """
    declared = Requirement(
        id=id,
        title=title,
        why=why,
        remedy=() if isinstance(remedy, str) else remedy,  # a forgotten comma makes a string
        tier=Tier(tier),
        takes_s=takes_s,
        budget_s=budget_s,
        stage=Stage(stage),
        gate=gate,
        resumes=resumes,
        real_weights=real_weights,
        alone=alone,
    )
    _check(declared)
    return _marking(declared)


def _check(declared: Requirement) -> None:
    """Raise ValueError where something is missing that every requirement needs."""
    if not ID.fullmatch(declared.id):
        raise ValueError(f"requirement id {declared.id!r}: wanted words in capitals joined by '-', like GPU-PRESENT")
    if not declared.title.strip() or declared.title.endswith("."):
        raise ValueError(f"requirement {declared.id}: `title` must be a sentence, without its full stop")
    if not declared.remedy or not all(step.strip() for step in declared.remedy):
        raise ValueError(f"requirement {declared.id}: `remedy` must be a tuple of one or more non-empty steps")
    if not declared.why.strip():
        raise ValueError(f"requirement {declared.id}: `why` must say which Hugging Face work suffers")
    if declared.budget_s <= declared.takes_s:
        raise ValueError(
            f"requirement {declared.id}: budget_s {declared.budget_s:g} must exceed takes_s {declared.takes_s:g}"
        )


def _marking(declared: Requirement) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        test.dgxcert_requirement = declared  # type: ignore[attr-defined]  # functions carry attributes
        return test

    return mark
