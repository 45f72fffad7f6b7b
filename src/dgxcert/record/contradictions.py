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
from dgxcert.record.run import Result

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


Found = tuple[str, str]
"""A key, and what is wrong about it."""


def find(events: Sequence[Event]) -> list[str]:
    """The contradictions of a record, a sentence for each kind."""
    opened = events[0]
    if not isinstance(opened, Opened):
        raise TypeError("the first event of a record must be Opened")
    found = [*_order(events, {entry.key for entry in opened.plan if entry.runs})]
    for event in events:
        if isinstance(event, Finished):
            found += _of_result(event.key, event.outcome, event.evidence, opened.profile)
    return [*_of_opening(events, opened), *_sentences(found)]


def of_results(results: Iterable[Result], profile: Profile) -> list[str]:
    """How the outcomes of some results contradict their own evidence, a sentence for each kind."""
    found = (_of_result(result.key, result.outcome, result.evidence, profile) for result in results)
    return _sentences(each for some in found for each in some)


def _sentences(found: Iterable[Found]) -> list[str]:
    """One sentence for all keys about which the same is wrong.

    >>> _sentences([("A", "was never started"), ("B", "was never started"), ("C", "is planned twice")])
    ['A and 1 more: was never started', 'C: is planned twice']
    """
    keys: dict[str, list[str]] = {}
    for key, wrong in found:
        keys.setdefault(wrong, []).append(key)
    more = {wrong: f" and {len(named) - 1} more" if len(named) > 1 else "" for wrong, named in keys.items()}
    return [f"{named[0]}{more[wrong]}: {wrong}" for wrong, named in keys.items()]


def _of_opening(events: Sequence[Event], opened: Opened) -> Iterable[str]:
    profile, keys = opened.profile, Counter(entry.key for entry in opened.plan)
    if profile.own and profile.certifies:
        yield f"profile {profile.name} is a file of its user and certifies"
    if sum(isinstance(event, Opened) for event in events) > 1:
        yield "it was opened more than once"
    yield from _sentences((key, "is planned more than once") for key, times in keys.items() if times > 1)


def _order(events: Iterable[Event], planned: set[str]) -> Iterable[Found]:
    """What ended without having been planned or started, and what ended in two ways."""
    started: set[str] = set()
    conclusive: dict[str, Outcome] = {}
    for event in events:
        if isinstance(event, Started):
            started.add(event.key)
        elif isinstance(event, Finished):
            if event.key not in planned:
                yield event.key, "ended and is not in the plan"
            elif event.outcome in CONCLUSIVE:
                if event.key not in started:
                    yield event.key, f"{event.outcome.value} and was never started"
                if conclusive.setdefault(event.key, event.outcome) is not event.outcome:
                    yield event.key, "passed and failed"


def _of_result(key: str, outcome: Outcome, evidence: Sequence[Evidence], profile: Profile) -> Iterable[Found]:
    """How an outcome contradicts its own evidence, and the evidence itself or the limits of the profile."""
    for item in evidence:
        yield from ((key, wrong) for made in item.held_against for wrong in _of_comparison(item, made, profile))
    if outcome is Outcome.PASSED:
        yield from ((key, f"passed with {_text(item, made)}") for item in evidence for made in item.violated)
        if not any(item.held_against for item in evidence):
            yield key, "passed and nothing was compared"


def _of_comparison(item: Evidence, made: Comparison, profile: Profile) -> Iterable[str]:
    try:
        holds = bool(HOLDS[made.sign](made.measured, made.value))
    except TypeError:  # text and a number
        holds = False
    if holds is not made.holds:
        yield f"{_text(item, made)} is said {'to hold' if made.holds else 'not to hold'}"
    if not _is_of(item, made):
        yield f"{item.name} is {item.value!r} and was compared as {made.measured!r}"
    limit = _limit(made, profile)
    if limit is not None and (getattr(limit, EDGES[made.sign]), limit.unit) != (made.value, made.unit):
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
    if made.sign not in EDGES or not made.source.startswith(LIMIT):
        return None
    name = made.source.removeprefix(LIMIT).partition(": ")[0]
    if name == profile.gpu_count.name:
        return profile.device_count if made.unit == profile.device_count.unit else profile.gpu_count
    return profile.limits.get(name)


def _text(item: Evidence, made: Comparison) -> str:
    return f"{item.name} {made.measured} {made.sign} {made.value} {made.unit}".rstrip()
