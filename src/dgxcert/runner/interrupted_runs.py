"""Predecessors: earlier runs that had not ended when this machine was started again, found by the record they left."""

import contextlib
from pathlib import Path

from dgxcert import report
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.record import benchmark_file, journal, state
from dgxcert.record import run as runs
from dgxcert.record.journal import Started


def close_fallen(results: Path, machine: Machine) -> tuple[str, ...]:
    """Close every run here that was measuring something when this machine went down; returns each of them in words.

    What was being measured is then inconclusive in that run, by name. A run of another machine, one that is still
    being worked on, and one whose record cannot be read are left alone.
    """
    found = (_close(path.parent, machine) for path in sorted(results.glob(f"*/{journal.NAME}")))
    return tuple(words for words in found if words)


def _close(folder: Path, machine: Machine) -> str:
    """Close one run, if it is one of these. A folder that cannot be closed keeps no new run from beginning."""
    if _is_closed(folder):
        return ""
    try:
        events = journal.read(folder)
        began = state.in_flight(events)
        if began is None or not _went_down(journal.opened(folder).machine, state.boot_id(events), machine):
            return ""
        _claim_and_lose(folder, began)
    except CannotStart:
        return ""
    with contextlib.suppress(CannotStart, OSError, ValueError):  # its faces; all that counts is in its record
        benchmark_file.merge(folder)
        report.write(runs.assemble(journal.read(folder), folder.name), folder)
    return (
        f"run {folder.name} was measuring {began.key} (begun {began.at}) and had not ended when this machine was "
        f"started again: look at `journalctl -b -1 -k | tail -100` before it is measured again"
    )


def _is_closed(folder: Path) -> bool:
    """Whether its faces are newer than its record: such a run has ended, and thousands of them need not be read."""
    try:
        return (folder / runs.NAME).stat().st_mtime_ns >= (folder / journal.NAME).stat().st_mtime_ns
    except OSError:
        return False


def _claim_and_lose(folder: Path, began: Started) -> None:
    """Write into the record what became of the requirement in flight, unless somebody still works on the run."""
    writer = journal.Writer(folder)
    try:
        writer.claim()
        writer.append(state.lost(began, rebooted=True))
    finally:
        writer.close()


def _went_down(then: Machine, boot: str | None, now: Machine) -> bool:
    """Whether it is the same machine, started anew since the run was last begun or gone on with under `boot`."""
    same = (then.hostname, then.serial, then.product) == (now.hostname, now.serial, now.product)
    return same and None not in (boot, now.boot_id) and boot != now.boot_id
