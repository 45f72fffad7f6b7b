"""Interrupted runs: earlier runs that had not ended when this machine was restarted, found by their records."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from dgxcert import report
from dgxcert.files import untrusted
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.record import benchmark_file, journal, run_folders
from dgxcert.record import run as runs
from dgxcert.record.journal import Opened, Started
from dgxcert.record.state import RunState, lost


def close_interrupted(results: Path, machine: Machine, say: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    """Close every run that was measuring something when this machine went down; returns a message about each.

    What was being measured becomes inconclusive in that run, by name. A run of another machine and one that another
    process still works on are left alone; one whose record cannot be read as well, and `say` is told so.
    """
    waiting = (folder for folder in run_folders.find(results).folders if not folder.closed)
    messages = (_close(folder.path, machine, say) for folder in waiting)
    return tuple(message for message in messages if message)


def _close(folder: Path, machine: Machine, say: Callable[[str], None]) -> str:
    """Close one run, if it is one of these. A folder that cannot be closed does not keep a new run from starting."""
    try:
        content = untrusted.read_bytes(folder / journal.NAME, journal.AT_MOST)
        if not _may_have_gone_down(content, machine):
            return ""
        events = journal.read_content(content, folder / journal.NAME)
        state, opened = RunState(events), events[0]
        in_flight = state.in_flight
        if not in_flight or not isinstance(opened, Opened):
            return ""
        if not _went_down(opened.machine, state.boot_id, machine):
            return ""
        _record_lost(folder, in_flight)
    except OSError as error:
        say(f"skipped {folder}: its {journal.NAME} cannot be read: {error.strerror}")
        return ""
    except CannotStart as error:
        say(f"skipped {folder}: {error.problem}")
        return ""
    with contextlib.suppress(CannotStart, OSError, ValueError):  # only its reports are lost; its record is complete
        benchmark_file.merge(folder)
        report.write(runs.assemble(journal.read(folder), folder.name), folder)
    measuring = ", ".join(f"{started.key} (started {started.at})" for started in in_flight)
    return (
        f"run {folder.name} was measuring {measuring} and had not ended when this machine "
        f"was restarted: read `journalctl -b -1 -k | tail -100` before you measure it again"
    )


STARTED = re.compile(rb'"event":\s*"started"')


def _may_have_gone_down(content: bytes, machine: Machine) -> bool:
    """Whether a record can be one of these, so that thousands of others need not be taken apart.

    It is of this machine, by its host name, of another boot, and starts something.
    """
    hostname = json.dumps(machine.hostname, ensure_ascii=False).encode(errors="replace")
    first, _, rest = content.partition(b"\n")
    here = rb'"boot_id":\s*' + re.escape(json.dumps(machine.boot_id).encode())
    return hostname in first and STARTED.search(rest) is not None and re.search(here, content) is None


def _record_lost(folder: Path, in_flight: tuple[Started, ...]) -> None:
    """Record how the requirements in flight ended. Raises CannotStart where another process works on the run."""
    writer = journal.Writer(folder)
    try:
        writer.claim()
        for started in in_flight:
            writer.append(lost(started, rebooted=True))
    finally:
        writer.close()


def _went_down(before: Machine, boot_id: str | None, current: Machine) -> bool:
    """Whether this is the same machine, restarted since the run was last started or resumed under `boot_id`."""
    same = (before.hostname, before.serial, before.product) == (current.hostname, current.serial, current.product)
    return same and None not in (boot_id, current.boot_id) and boot_id != current.boot_id
