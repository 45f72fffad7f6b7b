"""The clock of a run: whether the times in its record can be believed. Pure.

Three clocks disagree where one was set: the dates of the lines, their order in the file, and the stopwatch of each
requirement, which counts seconds whatever the date is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dgxcert.outcome import Outcome
from dgxcert.record.journal import ChildStarted, Event, Finished, Started

BACKWARDS = timedelta(seconds=2)
"""Two processes write a record, each with the time at which it made its line."""
STOPWATCH_S = 5.0
STOPWATCH = 0.02
"""By how much stopwatch and clock may differ: one that is being corrected runs at most 0.05 % fast or slow."""

TOLERANCE = timedelta(minutes=5)
"""How far two machines' clocks may be apart where both are set by a time server."""


def time_of(event: Event) -> datetime:
    """The time of an event.

    >>> time_of(Event(at="2026-11-23T18:40:12.000Z")).isoformat()
    '2026-11-23T18:40:12+00:00'
    """
    return datetime.fromisoformat(event.at)


def problem(events: Sequence[Event]) -> str:
    """How the times of a record contradict each other; "" where they do not."""
    return _backwards(events) or _jumped(events)


def in_future(events: Sequence[Event], now: datetime) -> str:
    """That a run took place after `now`, which is the time on this machine; "" where it did not."""
    last = max(map(time_of, events))
    if last <= now + TOLERANCE:
        return ""
    return f"it was measured in the future: at {minute(last)}, and here it is {minute(now)}"


def minute(moment: datetime) -> str:
    """A moment as people write it.

    >>> minute(datetime.fromisoformat("2027-11-23T18:40:12Z"))
    '2027-11-23 18:40 UTC'
    """
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def first_measurement(events: Sequence[Event]) -> str | None:
    """When the first requirement of a run was started; None where none was."""
    moments = [event.at for event in events if isinstance(event, Started)]
    return min(moments, key=datetime.fromisoformat, default=None)


def starting(events: Sequence[Event]) -> dict[str, float]:
    """Seconds by stage that its processes took to start, each until its first requirement; of several at once, all."""
    waiting: dict[tuple[str, int], datetime] = {}
    seconds: dict[str, float] = {}
    for event in events:
        if isinstance(event, ChildStarted):
            waiting[event.stage, event.number] = time_of(event)
        elif isinstance(event, Started) and (since := waiting.pop((event.stage, event.child), None)):
            took_s = max(0.0, (time_of(event) - since).total_seconds())
            seconds[event.stage] = round(seconds.get(event.stage, 0.0) + took_s, 3)
    return seconds


def _backwards(events: Sequence[Event]) -> str:
    latest = time_of(events[0])
    for event in events[1:]:
        moment = time_of(event)
        if moment < latest - BACKWARDS:
            after = f"{event.at} comes after {latest:%Y-%m-%dT%TZ}"
            return f"its clock was set back, or its lines are out of order: {after}"
        latest = max(latest, moment)
    return ""


def _jumped(events: Sequence[Event]) -> str:
    """Where the clock and the stopwatch of a requirement that ended by itself differ."""
    started: dict[str, Started] = {}
    for event in events:
        if isinstance(event, Started):
            started[event.key] = event
        elif isinstance(event, Finished) and event.key in started and event.outcome is not Outcome.INCONCLUSIVE:
            by_clock = (time_of(event) - time_of(started[event.key])).total_seconds()
            stopwatch_s = event.duration_s if event.watched_s is None else event.watched_s
            if abs(by_clock - stopwatch_s) > STOPWATCH_S + STOPWATCH * stopwatch_s:
                return (
                    f"its clock was set, or the machine slept, during {event.key}: {by_clock:.0f} s passed by the "
                    f"clock and {stopwatch_s:.0f} s by the stopwatch"
                )
    return ""
