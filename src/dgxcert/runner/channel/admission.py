"""Admission: which events a child may say, and when. What does not fit is no event of the run.

The supervisor gives each event its time, and compares the evidence of a pass once more: a child cannot write a pass
into the record, only report what it measured.
"""

import time
from collections.abc import Collection

from dgxcert.outcome import MOST_REPEATS, Outcome
from dgxcert.profiles.profile import Profile
from dgxcert.record import journal, proof
from dgxcert.record.journal import Finished, Said, SoftwareRead, Started, Stopped

ENDINGS = (Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE)
MOST_SAID, LONGEST_SAID = 10_000, 2_000
"""Messages for the user that one child may say, and characters of each: a burn-in of a day says one a minute."""
STOPWATCH_S, STOPWATCH = 5.0, 0.02
"""By how much the child's stopwatch and that of its supervisor may differ: a busy machine delays messages."""


class Refused(Exception):  # noqa: N818 (reads as `raise Refused`)
    """An event that a child may not say now; the message says why."""


class Admission:
    """Admits the events of one child, in order."""

    def __init__(self, stage: str, number: int, keys: Collection[str], profile: Profile, *, software: bool) -> None:
        """`keys` are what this child may measure; `software` says that it reports what software it runs on."""
        self._stage, self._number = stage, number
        self._waiting = set(keys)
        self._profile = profile
        self._software = software
        self._current: str | None = None
        self._since = self._forgiven_s = 0.0
        self._said = 0
        self._stopped = False

    def admit(self, message: bytes) -> journal.Event:
        """The event that a message reports, as it belongs into the record. Raises Refused."""
        event = journal.parse(message)
        if event is None:
            raise Refused("it is no event of a record")
        if self._stopped:
            raise Refused("it had stopped itself")
        match event:
            case SoftwareRead():
                self._admit_software(event)
            case Started():
                self._admit_start(event)
            case Said():
                self._admit_words(event)
            case Finished():
                event = self._admitted_ending(event)
            case Stopped():
                self._require_current(event.key)
                self._stopped = True
            case _:
                raise Refused(f"a child may not say {event.event!r}")  # type: ignore[attr-defined]  # all events have it
        return event.model_copy(update={"at": journal.now()})

    def forgive(self, seconds: float) -> None:
        """Allow for time in which the supervisor was stopped: its stopwatch ran on, and the child heard nothing."""
        self._forgiven_s += seconds

    def _admit_software(self, event: SoftwareRead) -> None:
        if not self._software or event.stage != self._stage:
            raise Refused("its software was read already, or is that of another stage")
        self._software = False

    def _admit_start(self, event: Started) -> None:
        if (event.stage, event.child) != (self._stage, self._number):
            raise Refused("it speaks for another child")
        if self._current is not None:
            raise Refused(f"{self._current} has not ended")
        if event.key not in self._waiting:
            raise Refused(f"{event.key[:100]!r} does not wait in this stage")
        self._waiting.remove(event.key)
        self._current, self._since, self._forgiven_s = event.key, time.monotonic(), 0.0

    def _admit_words(self, event: Said) -> None:
        self._require_current(event.key)
        self._said += 1
        if self._said > MOST_SAID or len(event.text) > LONGEST_SAID:
            raise Refused(f"it says more than {MOST_SAID} messages, or one of more than {LONGEST_SAID} characters")

    def _admitted_ending(self, event: Finished) -> Finished:
        self._require_current(event.key)
        if event.child != self._number:
            raise Refused("it speaks for another child")
        if event.outcome not in ENDINGS or event.watched_s is not None:
            raise Refused("no measurement ends so")
        if event.outcome is not Outcome.INCONCLUSIVE and (event.repeats or event.after_work):
            raise Refused("a pass or a failure is final")
        if not 0 <= event.repeats <= MOST_REPEATS:
            raise Refused(f"nothing is measured {event.repeats} more times")
        self._current = None
        watched_s = round(time.monotonic() - self._since, 4)
        return _proved(event.model_copy(update={"watched_s": watched_s}), self._profile, self._forgiven_s)

    def _require_current(self, key: str | None) -> None:
        if key != self._current:
            raise Refused(f"{str(key)[:100]!r} is not being measured")


def _proved(event: Finished, profile: Profile, forgiven_s: float) -> Finished:
    """The ending, inconclusive where it is a pass that its evidence or the supervisor's stopwatch does not support."""
    if event.outcome is not Outcome.PASSED or event.watched_s is None:
        return event
    longer_s = event.watched_s - event.duration_s
    apart_s = max(-longer_s, longer_s - forgiven_s)
    if apart_s > STOPWATCH_S + STOPWATCH * event.watched_s:
        doubt = f"it says that it took {event.duration_s:.1f} s, and its supervisor saw {event.watched_s:.1f} s"
        return proof.doubted(event, [doubt])
    return proof.doubted(event, proof.doubts(event.outcome, event.evidence, profile))
