"""Resumption: which runs may continue, and with which events they do.

What never ended is measured, and what ended inconclusive is measured again, if the machine was not restarted since. A
run in which neither waits is finished: to resume it would only give it a later date.
"""

from datetime import UTC, datetime
from pathlib import Path

from dgxcert.machine import software
from dgxcert.machine.identity import Machine
from dgxcert.outcome import MOST_REPEATS, CannotStart, Outcome
from dgxcert.plan import own_checks, suite
from dgxcert.plan.options import CONTAINER
from dgxcert.plan.selection import Planned
from dgxcert.plan.suite import Suite
from dgxcert.profiles import waivers
from dgxcert.record import journal, run_folders
from dgxcert.record import run as runs
from dgxcert.record.journal import Opened
from dgxcert.record.state import RunState, lost
from dgxcert.runner import gates

NEW_RUN = "Start a new run: dgxcert validate"


def waiting(opened: Opened, state: RunState) -> list[Planned]:
    """What a run would measure now: whatever `RunState.waits` for that is not behind a gate that stays closed.

    For a run that is to be resumed, `state` must have taken `Resumed` already.
    """
    unreachable = gates.unreachable(opened, state)
    left = [entry for entry in opened.plan if entry.runs and state.waits(entry.key)]
    return [entry for entry in left if entry.stage not in unreachable]


def would_measure(folder: Path, boot_id: str | None) -> bool:
    """Whether to resume a run under this boot of its machine would measure something; not where it is signed."""
    try:
        opened, events = journal.opened(folder), journal.read(folder)
    except CannotStart:
        return False
    state = RunState(events)
    for event in beginning(opened, state, opened.machine.model_copy(update={"boot_id": boot_id})):
        state.take(event)
    return bool(waiting(opened, state)) and not run_folders.signed_file(folder)


def require_waiting(opened: Opened, state: RunState, folder: Path) -> None:
    """Raise CannotStart where a resumed run would measure nothing, or would no longer be what was signed."""
    if signed := run_folders.signed_file(folder):
        raise CannotStart(f"{folder} is signed ({signed.name}): to resume it would break its signature.", NEW_RUN)
    if waiting(opened, state):
        return
    left = [entry.key for entry in opened.plan if entry.runs and entry.key not in state.endings]
    if left:
        closed = next(filter(None, (gates.problem(opened, state, stage) for stage in gates.BEHIND)), "")
        raise CannotStart(
            f"Nothing in {folder} can be resumed: {len(left)} requirements were never started, and {closed}. In this "
            "run that can no longer change.",
            f"Fix that, then start a new run: dgxcert validate; what was found is shown by: dgxcert show {folder}",
        )
    raise CannotStart(
        f"Nothing waits in {folder}: all {len(state.endings)} requirements ended, the last before "
        f"{_last_ending(folder)}{_undecided(state)}. Resuming would change its date and measure nothing.",
        f"{NEW_RUN}; to see this one: dgxcert show {folder}",
    )


def _undecided(state: RunState) -> str:
    """Why what ended inconclusive does not wait, or ""."""
    keys = [key for key, outcome in state.endings.items() if outcome is Outcome.INCONCLUSIVE]
    why = f"was measured {1 + MOST_REPEATS} times, or before the machine was restarted"
    return f"; what is inconclusive ({', '.join(keys[:3])}) {why}" if keys else ""


def _last_ending(folder: Path) -> str:
    return journal.read(folder)[-1].at


def only_reports_are_missing(opened: Opened, state: RunState, folder: Path) -> bool:
    """Whether a run ended with its last measurement, and its verdict could not be written, or only an older one."""
    if waiting(opened, state) or run_folders.signed_file(folder):
        return False
    try:
        written = runs.load(folder)
    except CannotStart:
        return True
    return written != runs.assemble(journal.read(folder), written.name)


def beginning(opened: Opened, state: RunState, machine: Machine) -> list[journal.Event]:
    """The events with which a run continues: that it does, and how what was being measured ended."""
    rebooted = machine.boot_id != state.boot_id
    continues = {entry.key for entry in opened.plan if entry.resumes}
    events: list[journal.Event] = [journal.Resumed(rebooted=rebooted, boot_id=machine.boot_id)]
    ended = (started for started in state.in_flight if rebooted or started.key not in continues)
    return [*events, *(lost(started, rebooted=rebooted) for started in ended)]


def require_same(opened: Opened, state: RunState, machine: Machine, current: Suite) -> None:
    """Raise CannotStart where the rest of a run would be measured on another machine, by another suite or software.

    Also where a waiver that the run started with has expired.
    """
    for name, before in opened.machine.identity.items():
        now = machine.identity[name]
        if now != before:
            raise CannotStart(
                f"The run was started on another machine, or its state changed: {name} was {before} and is {now}.",
                "Resume it there, or start a new run here.",
            )
    _require_same_suite(opened.suite, current)
    if changed := own_checks.difference(opened.options.checks, opened.own):
        raise CannotStart(f"{changed}.", "Restore them to resume, or start a new run.")
    _require_same_software(state)
    waivers.require_valid(opened.waivers, datetime.now(UTC).date())


def suite_changed(opened: Opened) -> str:
    """How the suite on disk differs from the one that a run began with, for a run that may certify; or "".

    A rehearsal goes on: it certifies nothing, and whoever works on the suite rehearses.
    """
    if not opened.profile.certifies:
        return ""
    current = suite.identity(suite.root())
    same = (current.sha256, current.commit) == (opened.suite.sha256, opened.suite.commit)
    return "" if same else f"the suite was changed while it ran{_because(current)}; start a new run"


def _because(current: Suite) -> str:
    return f": {current.reason}" if current.reason else ""


def _require_same_suite(before: Suite, current: Suite) -> None:
    if current.sha256 != before.sha256:
        raise CannotStart(
            f"The run was started by another suite (commit {before.commit}, here {current.commit}{_because(current)}).",
            "Check that version out to resume, or start a new run.",
        )
    for name in ("commit", "modified"):
        was, found = getattr(before, name), getattr(current, name)
        if was != found:
            change = f"{name} was {was} and is {found}{_because(current)}"
            raise CannotStart(
                f"The suite is not as it was when the run was started: {change}.",
                "Restore it (`git status` shows what changed), or start a new run.",
            )


def _require_same_software(state: RunState) -> None:
    """Refuse to measure the rest of a run on other software than its beginning.

    In the container that is decided by the image's id, which the pipeline compares.
    """
    before = next((software for stage, software in state.software.items() if stage != CONTAINER), None)
    current = software.read()
    if before is not None and current != before:
        names = {*current.packages, *before.packages}
        changed = sorted(name for name in names if current.packages.get(name) != before.packages.get(name))
        raise CannotStart(
            f"The run was started on other software: {', '.join(changed) or 'Python or the container'} changed since.",
            "Install what it ran on, or start a new run.",
        )
