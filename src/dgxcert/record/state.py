"""The state of a run, folded from its events: what has ended, what is in flight, in which image it works. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from dgxcert.judgement.requirement import Stage
from dgxcert.machine.image import Image
from dgxcert.machine.software import Software
from dgxcert.outcome import MOST_REPEATS, Outcome
from dgxcert.profiles.profile import Profile
from dgxcert.record import proof
from dgxcert.record.journal import (
    ChildStarted,
    Event,
    Finished,
    ImageReady,
    Interrupted,
    Opened,
    Resumed,
    SoftwareRead,
    Started,
)

AFTER = Stage.AFTER.value


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to measure a requirement: its start, None where the record lacks it, and its ending."""

    started: Started | None
    finished: Finished
    boot: str
    """When the boot that it started in was first used by this run, as `RunState` counts boots."""


class RunState:
    """Where a run is. Kept in memory during the run: `take` every event that is written or followed.

    Taking an event a second time changes nothing, so that a writer may also follow its own record.

    A pass or a failure is final, so that no later line turns a failure into a pass. An inconclusive ending may be
    followed by another attempt in the same boot, `MOST_REPEATS` at most; the last one counts and all are kept. A pass
    whose evidence does not hold is inconclusive, whoever wrote it.

    >>> state = RunState()
    >>> state.take(Started(key="GPU-PRESENT", stage="native", child=1))
    >>> [started.key for started in state.in_flight]
    ['GPU-PRESENT']
    >>> state.take(Finished(key="GPU-PRESENT", outcome=Outcome.PASSED, duration_s=0.4))  # without evidence
    >>> state.endings, state.in_flight
    ({'GPU-PRESENT': <Outcome.INCONCLUSIVE: 'inconclusive'>}, ())
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.endings: dict[str, Outcome] = {}
        """How each requirement ended, by the attempt that counts."""
        self.attempts: dict[str, list[Attempt]] = {}
        """Every attempt that ended, in order. The last one of a key in `endings` counts."""
        self.started: dict[str, Started] = {}
        """The last start of each requirement."""
        self.image: Image | None = None
        """The image that the run works in; None for a run without one, and before it was built."""
        self.software: dict[str, Software] = {}
        """The software of each stage, as its first process read it."""
        self.children = 0
        """How many processes have worked on the run."""
        self.boot_id: str | None = None
        """The boot in which the run was last started or resumed; None where the record does not contain it."""
        self._in_flight: dict[str, tuple[Started, str]] = {}
        """What is being measured, one requirement of each child that works, with the boot that it started in."""
        self._left: set[str] = set()
        """Of these, what an earlier process of the run was measuring: it has ended, and all of its children with it."""
        self._boot = ""
        self._profile: Profile | None = None
        self._resumed = False
        self._started_since_resume: set[str] = set()
        self._seen_after_work: set[str] = set()
        """Keys whose last attempt was made after the work, until work begins again."""
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Update the state with the next event of the record."""
        match event:
            case Started():
                self._start(event)
            case Finished():
                self._finish(event)
            case Opened():
                self.boot_id, self._profile = event.machine.boot_id, event.profile
            case Resumed():
                self._resume(event)
            case ChildStarted():
                self.children = max(self.children, event.number)
            case SoftwareRead():
                self.software.setdefault(event.stage, event.software)
            case ImageReady():
                self.image = self.image or event.image
            case Interrupted():
                self._in_flight = {}

    @property
    def finished(self) -> set[str]:
        """Keys of the requirements that have ended."""
        return set(self.endings)

    @property
    def passed(self) -> set[str]:
        """Keys of the requirements that have passed."""
        return {key for key, outcome in self.endings.items() if outcome is Outcome.PASSED}

    @property
    def in_flight(self) -> tuple[Started, ...]:
        """The requirements that were being measured when the record stops; none where the user interrupted them."""
        return tuple(started for started, _ in self._in_flight.values())

    def waits(self, key: str, stage: str = AFTER) -> bool:
        """Whether a requirement is still to be measured: it has not ended, or its ending allows another attempt.

        Such endings are those that say so themselves (`Finished.repeats`), and after a resume every inconclusive one
        from before it. What only the work decides waits for the stage after it, and for no other. Not after a restart
        of the machine: what was being measured then may be its cause, and the machine has become another one.
        """
        decided_after_work = self.decided_after_work(key)
        if decided_after_work and stage != AFTER:
            return False
        if key not in self.endings:
            return True
        last = self.attempts[key][-1]
        asked = self._resumed and key not in self._started_since_resume
        if decided_after_work:
            return self._repeatable(key, self._boot) and (asked or not _is_after(last))
        repeats = MOST_REPEATS if asked else min(last.finished.repeats, MOST_REPEATS)
        return self._repeatable(key, self._boot) and self._inconclusive(key) <= repeats

    def decided_after_work(self, key: str) -> bool:
        """Whether a requirement ended so that the work decides it, which makes it one of the stage after the work."""
        return any(attempt.finished.after_work for attempt in self.attempts.get(key, ()))

    def read_before_work(self) -> dict[tuple[str, str], object]:
        """What the stages before the last recorded first in this boot: the value of each quantity by key and name."""
        values: dict[tuple[str, str], object] = {}
        for key, attempts in self.attempts.items():
            for attempt in attempts:
                started = attempt.started
                if started is not None and started.stage != AFTER and attempt.boot == self._boot:
                    for kept in attempt.finished.evidence:
                        values.setdefault((key, kept.name), kept.value)
        return values

    def _repeatable(self, key: str, boot: str) -> bool:
        """Whether one more attempt, begun in this boot, counts."""
        last = self.attempts[key][-1]
        undecided = self.endings[key] is Outcome.INCONCLUSIVE and last.boot == boot
        return undecided and self._inconclusive(key) <= MOST_REPEATS

    def _inconclusive(self, key: str) -> int:
        return sum(attempt.finished.outcome is Outcome.INCONCLUSIVE for attempt in self.attempts[key])

    def _resume(self, event: Resumed) -> None:
        self.boot_id = event.boot_id or self.boot_id
        if event.rebooted:
            self._boot = event.at
        self._resumed = True
        self._started_since_resume = set()
        self._left = set(self._in_flight)

    def _start(self, event: Started) -> None:
        gone = {
            key for key, (started, _) in self._in_flight.items() if key in self._left or started.child == event.child
        }
        self._in_flight = {key: each for key, each in self._in_flight.items() if key not in gone}
        self._in_flight[event.key], self._left = (event, self._boot), set()
        self.started[event.key] = event
        self._started_since_resume.add(event.key)
        if event.stage != AFTER:
            self._outdate()

    def _outdate(self) -> None:
        """Work begins: what was seen after earlier work no longer counts, unless it failed."""
        for key in self._seen_after_work:
            if self.endings.get(key) is not Outcome.FAILED:
                self.endings.pop(key, None)
        self._seen_after_work.clear()

    def _finish(self, event: Finished) -> None:
        started, boot = None, self._boot
        # A process that outlived its kill may still report: its ending was recorded for it, and is not that of the
        # child that measures the same requirement now.
        if event.key in self._in_flight and _same(self._in_flight[event.key][0], event):
            started, boot = self._in_flight.pop(event.key)
        if event.key in self.endings and (started is None or not self._repeatable(event.key, boot)):
            return
        counts = proof.doubted(event, proof.doubts(event.outcome, event.evidence, self._profile))
        attempt = Attempt(started, counts, boot)
        self.attempts.setdefault(event.key, []).append(attempt)
        if _is_after(attempt):
            self._seen_after_work.add(event.key)
        else:
            self._seen_after_work.discard(event.key)
        self.endings[event.key] = counts.outcome


def _is_after(attempt: Attempt) -> bool:
    """Whether an attempt was made after the work."""
    return attempt.started is not None and attempt.started.stage == AFTER


def _same(started: Started, finished: Finished) -> bool:
    """Whether a start and an ending are of the same attempt."""
    return started.key == finished.key and finished.child in (None, started.child)


def lost(started: Started, *, rebooted: bool) -> Finished:
    """The ending of a requirement that was being measured when the whole run was killed."""
    how = "the machine was restarted" if rebooted else "the run was killed"
    return Finished(
        key=started.key,
        outcome=Outcome.INCONCLUSIVE,
        duration_s=0.0,
        reason=f"{how} while {started.key} was being measured, at some time after {started.at}",
        remedy=(
            "If the machine went down by itself, this requirement may have caused it: "
            "`journalctl -b -1 -k | tail -100` shows the kernel's last messages.",
            f"Measure it alone in a new run: make validate ONLY='{started.key}'",
        ),
        child=started.child,
    )
