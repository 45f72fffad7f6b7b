"""The state of a run, folded from its events: what has ended, what is in flight, in which image it works. Pure."""

from collections.abc import Iterable

from dgxcert.machine.image import Image
from dgxcert.machine.software import Software
from dgxcert.outcome import Outcome
from dgxcert.record.journal import (
    Attempt,
    Event,
    Finished,
    ImageReady,
    Interrupted,
    Opened,
    Resumed,
    SoftwareRead,
    Started,
)


class RunState:
    """Where a run is. Kept in memory during the run: `take` every event that is written or followed.

    Taking an event a second time changes nothing, so that a writer may also follow its own record.

    >>> state = RunState()
    >>> state.take(Started(key="GPU-PRESENT", stage="native", attempt=1))
    >>> state.in_flight.key
    'GPU-PRESENT'
    >>> state.take(Finished(key="GPU-PRESENT", outcome=Outcome.PASSED, duration_s=0.4))
    >>> state.passed, state.in_flight
    ({'GPU-PRESENT'}, None)
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.endings: dict[str, Outcome] = {}
        """How each requirement ended. Its first ending counts: no later line turns a failure into a pass."""
        self.image: Image | None = None
        """The image that the run works in; None for a run without one, and before it was built."""
        self.software: dict[str, Software] = {}
        """The software of each stage, as its first process read it."""
        self.attempts = 0
        """How many processes have worked on the run."""
        self.boot_id: str | None = None
        """The boot in which the run was last started or resumed; None where the record does not contain it."""
        self._last_started: Started | None = None
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Update the state with the next event of the record."""
        match event:
            case Opened():
                self.boot_id = event.machine.boot_id
            case Resumed():
                self.boot_id = event.boot_id or self.boot_id
            case Attempt():
                self.attempts = max(self.attempts, event.number)
            case SoftwareRead():
                self.software.setdefault(event.stage, event.software)
            case ImageReady():
                self.image = self.image or event.image
            case Started():
                self._last_started = event
            case Interrupted():
                self._last_started = None
            case Finished():
                self.endings.setdefault(event.key, event.outcome)

    @property
    def finished(self) -> set[str]:
        """Keys of the requirements that have ended."""
        return set(self.endings)

    @property
    def passed(self) -> set[str]:
        """Keys of the requirements that have passed."""
        return {key for key, outcome in self.endings.items() if outcome is Outcome.PASSED}

    @property
    def in_flight(self) -> Started | None:
        """The requirement that was being measured when the record stops; None where the user interrupted it."""
        started = self._last_started
        return started if started is not None and started.key not in self.endings else None


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
            f"Measure it alone in a new run: dgxcert validate --only '{started.key}'",
        ),
    )
