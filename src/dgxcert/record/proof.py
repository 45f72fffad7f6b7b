"""Proof: whether the evidence of an ending supports it, compared again by who reads it. Pure."""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dgxcert.judgement.evidence import OF_LIMIT, Comparison, Evidence
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.outcome import Outcome
from dgxcert.profiles.profile import Profile
from dgxcert.record.journal import Finished

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
EDGES = {">=": "min", "<=": "max", "==": "equals"}
RELATIVE = 1e-6
SHOWN = 3
REMEDY = (
    "Read the log of this requirement: something in its process changed what it measured, or what it reported.",
    "Measure it again in a new run: dgxcert validate; if it ends so again, see what is installed beside the lock.",
)


def doubts(outcome: Outcome, evidence: Sequence[Evidence], profile: Profile | None) -> list[str]:
    """How an outcome contradicts its own evidence, and the evidence itself or the limits of the profile.

    >>> doubts(Outcome.PASSED, (), None)
    ['passed and nothing was compared']
    """
    return list(_doubts(outcome, evidence, profile))


def doubted(event: Finished, found: Sequence[str]) -> Finished:
    """The ending as it counts: a pass in doubt proves nothing, and everything else stays as it is.

    >>> doubted(Finished(key="A", outcome=Outcome.PASSED, duration_s=1.0), ["passed and nothing was compared"]).reason
    'its pass proves nothing: passed and nothing was compared'
    """
    if event.outcome is not Outcome.PASSED or not found:
        return event
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    reason = f"its pass proves nothing: {'; '.join(found[:SHOWN])}{more}"
    return event.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": reason, "remedy": REMEDY})


def _doubts(outcome: Outcome, evidence: Sequence[Evidence], profile: Profile | None) -> Iterator[str]:
    for item in evidence:
        for made in item.held_against:
            yield from _of_comparison(item, made, profile)
    if outcome is Outcome.PASSED:
        yield from (f"passed with {_text(item, made)}" for item in evidence for made in item.violated)
        if not any(item.held_against for item in evidence):
            yield "passed and nothing was compared"


def _of_comparison(item: Evidence, made: Comparison, profile: Profile | None) -> Iterator[str]:
    try:
        holds = bool(HOLDS[made.sign](made.measured, made.value))
    except TypeError:  # text and a number
        holds = False
    if holds is not made.holds:
        yield f"{_text(item, made)} is said {'to hold' if made.holds else 'not to hold'}"
    if not _is_of(item, made):
        yield f"{item.name} is {item.value!r} and was compared as {made.measured!r}"
    if profile is None or (limit := _limit(made, profile)) is None:
        return
    if (getattr(limit, EDGES[made.sign]), limit.unit) != (made.value, made.unit):
        yield f"{_text(item, made)} is not limit {limit.name} of profile {profile.name}"


def _is_of(item: Evidence, made: Comparison) -> bool:
    """Whether a compared value is that of its quantity, or its share of the bound that the unit names."""
    if made.measured == item.value:
        return True
    bound = {OF_ROOFLINE: item.roofline, OF_CEILING: item.ceiling}.get(made.unit)
    numbers = isinstance(item.value, int | float) and isinstance(made.measured, int | float)
    if bound is None or not numbers or not bound.value:
        return False
    share = float(item.value) / bound.value
    return abs(share - float(made.measured)) <= RELATIVE * abs(share)


def _limit(made: Comparison, profile: Profile) -> Limit | None:
    """The limit of the profile that a comparison names; None where it was made with something else."""
    if made.sign not in EDGES or not made.source.startswith(OF_LIMIT):
        return None
    name = made.source.removeprefix(OF_LIMIT).partition(": ")[0]
    if name == profile.gpu_count.name:
        return profile.device_count if made.unit == profile.device_count.unit else profile.gpu_count
    return profile.all_limits.get(name)


def _text(item: Evidence, made: Comparison) -> str:
    return f"{item.name} {made.measured} {made.sign} {made.value} {made.unit}".rstrip()
