"""Contradictions: what a record says that cannot be, each as a sentence. Pure.

None of this finds a record that was invented with care; it finds one that was edited, cut or joined.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from dgxcert.outcome import Outcome
from dgxcert.profiles.profile import Profile
from dgxcert.record import proof
from dgxcert.record.journal import Event, Finished, Opened, Started
from dgxcert.record.run import Result

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
            found += _of_result(event, opened.profile)
    return [*_of_opening(events, opened), *_sentences(found)]


def of_results(results: Iterable[Result], profile: Profile) -> list[str]:
    """How the outcomes of some results contradict their own evidence, a sentence for each kind."""
    return _sentences(found for result in results for found in _of_result(result, profile))


def _of_result(ended: Finished | Result, profile: Profile) -> list[Found]:
    return [(ended.key, doubt) for doubt in proof.doubts(ended.outcome, ended.evidence, profile)]


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
