"""Interrupted runs: earlier runs that had not ended when this machine was restarted, found by their records."""

import contextlib
from pathlib import Path

from dgxcert import report
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.record import benchmark_file, journal
from dgxcert.record import run as runs
from dgxcert.record.journal import Started
from dgxcert.record.state import RunState, lost


def close_interrupted(results: Path, machine: Machine) -> tuple[str, ...]:
    """Close every run that was measuring something when this machine went down; returns a message about each.

    What was being measured becomes inconclusive in that run, by name. A run of another machine, one that another
    process still works on, and one whose record cannot be read are left alone.
    """
    messages = (_close(path.parent, machine) for path in sorted(results.glob(f"*/{journal.NAME}")))
    return tuple(message for message in messages if message)


def _close(folder: Path, machine: Machine) -> str:
    """Close one run, if it is one of these. A folder that cannot be closed does not keep a new run from starting."""
    if _is_closed(folder):
        return ""
    try:
        state = RunState(journal.read(folder))
        in_flight = state.in_flight
        if in_flight is None or not _went_down(journal.opened(folder).machine, state.boot_id, machine):
            return ""
        _record_lost(folder, in_flight)
    except CannotStart:
        return ""
    with contextlib.suppress(CannotStart, OSError, ValueError):  # only its reports are lost; its record is complete
        benchmark_file.merge(folder)
        report.write(runs.assemble(journal.read(folder), folder.name), folder)
    return (
        f"run {folder.name} was measuring {in_flight.key} (started {in_flight.at}) and had not ended when this machine "
        f"was restarted: read `journalctl -b -1 -k | tail -100` before you measure it again"
    )


def _is_closed(folder: Path) -> bool:
    """Whether run.json is newer than the record: such a run has ended, and thousands of them need not be read.

    A signed run has ended too; a copy of one need not have kept the times of its files.
    """
    if any((folder / name).exists() for name in runs.SIGNED):
        return True
    try:
        return (folder / runs.NAME).stat().st_mtime_ns >= (folder / journal.NAME).stat().st_mtime_ns
    except OSError:
        return False


def _record_lost(folder: Path, in_flight: Started) -> None:
    """Record how the requirement in flight ended. Raises CannotStart where another process works on the run."""
    writer = journal.Writer(folder)
    try:
        writer.claim()
        writer.append(lost(in_flight, rebooted=True))
    finally:
        writer.close()


def _went_down(before: Machine, boot_id: str | None, current: Machine) -> bool:
    """Whether this is the same machine, restarted since the run was last started or resumed under `boot_id`."""
    same = (before.hostname, before.serial, before.product) == (current.hostname, current.serial, current.product)
    return same and None not in (boot_id, current.boot_id) and boot_id != current.boot_id
