"""Contradictions: what a record says that cannot be, each as a sentence. Pure.

None of this finds a record that was invented with care; it finds one that was edited, cut or joined.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dgxcert.judgement.evidence import Comparison, Evidence
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.outcome import Outcome
from dgxcert.profiles.profile import Profile
from dgxcert.record.journal import Event, Finished, Opened, Started

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
EDGES = {">=": "min", "<=": "max", "==": "equals"}
LIMIT = "limit "
"""With which the source of a comparison begins that was made with a limit: `limit NAME: SOURCE`."""
RELATIVE = 1e-6
CONCLUSIVE = (Outcome.PASSED, Outcome.FAILED)


def find(events: Sequence[Event]) -> list[str]:
    """The contradictions of a record, in the order of its lines."""
    opened = events[0]
    if not isinstance(opened, Opened):
        raise TypeError("the first event of a record must be Opened")
    found = [*_of_opening(opened)]
    found += ["it was opened twice" for event in events[1:] if isinstance(event, Opened)]
    found += _order(events, {entry.key for entry in opened.plan if entry.runs})
    for event in events:
        if isinstance(event, Finished):
            found += of_result(event.key, event.outcome, event.evidence, opened.profile)
    return found


def _of_opening(opened: Opened) -> Iterable[str]:
    profile, keys = opened.profile, Counter(entry.key for entry in opened.plan)
    if profile.own and profile.certifies:
        yield f"profile {profile.name} is a file of its user and certifies"
    yield from (f"{key} is planned {times} times" for key, times in keys.items() if times > 1)


def _order(events: Iterable[Event], planned: set[str]) -> Iterable[str]:
    """What ended without having been planned or started, and what ended in two ways."""
    started: set[str] = set()
    conclusive: dict[str, Outcome] = {}
    for event in events:
        if isinstance(event, Started):
            started.add(event.key)
        elif isinstance(event, Finished):
            if event.key not in planned:
                yield f"{event.key} ended and was not to be measured"
            elif event.outcome in CONCLUSIVE:
                if event.key not in started:
                    yield f"{event.key} {event.outcome.value} and was never started"
                if conclusive.setdefault(event.key, event.outcome) is not event.outcome:
                    yield f"{event.key} passed and failed"


def of_result(key: str, outcome: Outcome, evidence: Iterable[Evidence], profile: Profile) -> list[str]:
    """How an outcome contradicts its own evidence, and the evidence itself or the limits of the profile."""
    items = list(evidence)
    found = [text for item in items for made in item.held_against for text in _of_comparison(key, item, made, profile)]
    if outcome is Outcome.PASSED:
        found += [f"{key} passed with {_text(item, made)}" for item in items for made in item.violated]
        if not any(item.held_against for item in items):
            found.append(f"{key} passed and nothing was compared")
    return found


def _of_comparison(key: str, item: Evidence, made: Comparison, profile: Profile) -> Iterable[str]:
    try:
        holds = bool(HOLDS[made.sign](made.measured, made.value))
    except TypeError:  # text and a number
        holds = False
    if holds is not made.holds:
        yield f"{key}: {_text(item, made)} is said {'to hold' if made.holds else 'not to hold'}"
    if not _is_of(item, made):
        yield f"{key}: {item.name} is {item.value!r} and was compared as {made.measured!r}"
    limit = _limit(made, profile)
    if limit is not None and (getattr(limit, EDGES[made.sign]), limit.unit) != (made.value, made.unit):
        yield f"{key}: {_text(item, made)} is not limit {limit.name} of profile {profile.name}"


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
    if made.sign not in EDGES or not made.source.startswith(LIMIT):
        return None
    name = made.source.removeprefix(LIMIT).partition(": ")[0]
    if name == profile.gpu_count.name:
        return profile.device_count if made.unit == profile.device_count.unit else profile.gpu_count
    return profile.limits.get(name)


def _text(item: Evidence, made: Comparison) -> str:
    return f"{item.name} {made.measured} {made.sign} {made.value} {made.unit}".rstrip()
