"""Where a run stands, read off its events: what has ended, what was in flight, in which image it works. Pure."""

from dgxcert.machine.image import Image
from dgxcert.outcome import Outcome
from dgxcert.plan.selection import Planned
from dgxcert.record.journal import Attempt, Event, Finished, ImageReady, Interrupted, Opened, Resumed, Started


def finished_keys(events: list[Event]) -> set[str]:
    """The requirements that have ended."""
    return {event.key for event in events if isinstance(event, Finished)}


def passed_keys(events: list[Event]) -> set[str]:
    """The requirements whose first ending is a pass."""
    endings: dict[str, Outcome] = {}
    for event in events:
        if isinstance(event, Finished):
            endings.setdefault(event.key, event.outcome)
    return {key for key, outcome in endings.items() if outcome is Outcome.PASSED}


def image(events: list[Event]) -> Image | None:
    """The image that the run used, or None for a run without one."""
    return next((event.image for event in events if isinstance(event, ImageReady)), None)


def attempts(events: list[Event]) -> int:
    """How many processes have worked on the run so far."""
    return max((event.number for event in events if isinstance(event, Attempt)), default=0)


def boot_id(events: list[Event]) -> str | None:
    """The boot under which the run was last begun or gone on with, as far as its record tells."""
    told = [event.boot_id for event in events if isinstance(event, Resumed) and event.boot_id]
    opened = [event.machine.boot_id for event in events if isinstance(event, Opened)]
    return [None, *opened, *told][-1]


def in_flight(events: list[Event]) -> Started | None:
    """The requirement that was being measured when the record stops, unless somebody interrupted it."""
    done = finished_keys(events)
    for event in reversed(events):
        if isinstance(event, Interrupted):
            return None
        if isinstance(event, Started):
            return None if event.key in done else event
    return None


def resumes(started: Started, plan: tuple[Planned, ...]) -> bool:
    """Whether a requirement that was killed goes on where it was."""
    return any(entry.key == started.key and entry.resumes for entry in plan)


def lost(started: Started, *, rebooted: bool) -> Finished:
    """How a requirement ends that was being measured when the whole run went down."""
    how = "the machine was restarted" if rebooted else "the run was killed"
    return Finished(
        key=started.key,
        outcome=Outcome.INCONCLUSIVE,
        duration_s=0.0,
        reason=f"{how} while {started.key} was being measured, at some time after {started.at}",
        remedy=(
            "If the machine went down by itself, this requirement may have caused it: "
            "`journalctl -b -1 -k | tail -100` shows the kernel's last words.",
            f"Measure it alone in a new run: dgxcert validate --only '{started.key}'",
        ),
    )
