"""Findings: what was looked at before a run, what it will do to one, and what to do about it."""

import re
from collections.abc import Callable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from dgxcert.outcome import Outcome
from dgxcert.plan.selection import Planned
from dgxcert.record.journal import Finished

Steps = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Chooses those steps of a remedy that are for this machine."""
DEFERS = re.compile(r"\b(?:Fix|See) ([A-Z0-9]+(?:-[A-Z0-9]+)+) first\b")
"""How a remedy says that another requirement comes first."""


class Effect(StrEnum):
    """What a finding does to a run that would start now."""

    STOPS = "stops"
    """What comes behind it is not measured: a gate, or a program that is missing."""
    REJECTS = "rejects"
    """It is measured and fails."""
    UNKNOWN = "unknown"
    """It could not be told in the time that there is, or at all."""
    NONE = "none"
    """Nothing is in the way."""


class Finding(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Key of a requirement, or `image`, `clients`, `machine`, `clock`, which no requirement is about."""
    title: str
    effect: Effect
    problem: str = ""
    remedy: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    """Names of what cannot be told before this is fixed."""


class Examination(BaseModel):
    """All findings, and what they come to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    runtime: str
    image: str
    """What a run will do about its image, in one sentence; empty for a run without one."""
    findings: tuple[Finding, ...]
    seconds: float
    exit_code: int

    @property
    def troubles(self) -> list[Finding]:
        """What is in the way, worst first."""
        order = list(Effect)
        found = [finding for finding in self.findings if finding.effect is not Effect.NONE]
        return sorted(found, key=lambda finding: order.index(finding.effect))


def exit_code(findings: list[Finding]) -> int:
    """0: nothing is in the way; 1: something stops or rejects; 2: something could not be told.

    >>> exit_code([Finding(name="GPU-PRESENT", title="", effect=Effect.REJECTS)])
    1
    """
    effects = {finding.effect for finding in findings}
    return 1 if effects & {Effect.STOPS, Effect.REJECTS} else 2 if Effect.UNKNOWN in effects else 0


def of_ending(entry: Planned, ending: Finished, applicable: Steps, *, gates: bool) -> Finding:
    """What the ending of a requirement means; `gates` says whether what does not pass can stop a run."""
    if ending.outcome is Outcome.PASSED:
        return Finding(name=entry.key, title=entry.title, effect=Effect.NONE)
    stops = entry.gate and gates
    effect = Effect.STOPS if stops else Effect.REJECTS if ending.outcome is Outcome.FAILED else Effect.UNKNOWN
    remedy = applicable(ending.remedy or entry.remedy)
    return Finding(name=entry.key, title=entry.title, effect=effect, problem=ending.reason, remedy=remedy)


def late(entry: Planned, why: str, first: str, applicable: Steps, *, gates: bool) -> Finding:
    """The finding of a requirement that did not end; `first` is the trouble that its process met before it, or "".

    A gate that does not open stops a run.
    """
    effect = Effect.STOPS if entry.gate and gates else Effect.UNKNOWN
    remedy = (f"Fix {first} first.",) if first else applicable(entry.remedy)
    return Finding(name=entry.key, title=entry.title, effect=effect, problem=why, remedy=remedy)


def folded(found: list[Finding]) -> list[Finding]:
    """The findings without those whose remedy is another trouble: that one names them.

    >>> engine = Finding(name="DOCKER-REACHABLE", title="", effect=Effect.STOPS)
    >>> api = Finding(name="DOCKER-API", title="", effect=Effect.UNKNOWN, remedy=("Fix DOCKER-REACHABLE first.",))
    >>> [finding.behind for finding in folded([engine, api])]
    [('DOCKER-API',)]
    """
    troubles = {finding.name: finding for finding in found if finding.effect is not Effect.NONE}
    causes = {name: _cause(finding, troubles) for name, finding in troubles.items()}
    behind = {cause: tuple(name for name in troubles if causes[name] == cause) for cause in causes.values() if cause}
    kept = [finding for finding in found if not causes.get(finding.name)]
    return [finding.model_copy(update={"behind": behind.get(finding.name, ())}) for finding in kept]


def _cause(finding: Finding, troubles: dict[str, Finding]) -> str:
    """The trouble that has to be fixed before this one, as its own remedy says; or ""."""
    seen = {finding.name}
    name = ""
    while (match := DEFERS.search(" ".join(finding.remedy))) and match[1] in troubles and match[1] not in seen:
        name = match[1]
        seen.add(name)
        finding = troubles[name]
    return name
