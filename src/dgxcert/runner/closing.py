"""Closing a run: what was measured is judged and shown whatever the disk does; what is not written is named once."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from dgxcert import command, report
from dgxcert.console import print_line
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.record import benchmark_file, journal
from dgxcert.record import run as runs
from dgxcert.record.journal import Event
from dgxcert.record.run import Result, Run
from dgxcert.runner.interrupts import Stop

CANNOT_FINISH = 3
"""The exit code where a run could neither start nor go on to its end: cli/exit_code.py."""
REPORT_S = 300.0
"""Longer than the largest report takes on the slowest machine."""
NEW_RUN = "Start a new run: dgxcert validate"


class Ended(NamedTuple):
    """A run that this process worked on, and what kept it from its end."""

    run: Run
    folder: Path
    trouble: CannotStart | None = None
    """Why the rest was not measured or not recorded; None where the run ended by itself or was ended by the user."""

    @property
    def exit_code(self) -> int:
        """That of the verdict, or of a command that could not finish."""
        return CANNOT_FINISH if self.trouble is not None else self.run.judgement.exit_code

    @property
    def kept(self) -> str:
        """The run folder; empty where its record is gone."""
        return str(self.folder) if _is_run(self.folder) else ""

    def say_trouble(self, console: Console) -> None:
        """Print what kept the run from its end, and how it goes on; nothing where it came to its end."""
        if self.trouble is not None:
            message = f"The run could not go on: {self.trouble.problem} {' '.join(self.trouble.remedy)}"
            print_line(console, f"{message.rstrip('.')}. {way_on(self.folder)}", style="bold yellow")


def way_on(folder: Path) -> str:
    """How a run that was cut short goes on: resumed where its record can be read, otherwise as a new one."""
    if _is_run(folder):
        return f"Then continue: dgxcert validate --resume {folder}"
    return f"Nothing is left of this run in {folder}: where it was moved, resume it there. {NEW_RUN}"


def _is_run(folder: Path) -> bool:
    try:
        journal.opened(folder)
    except CannotStart:
        return False
    return True


def close(folder: Path, console: Console, events: Sequence[Event] = (), *, goes_on: bool = True) -> Run:
    """Rebuild run.json and the reports; prints which of them cannot be written, and what of benchmarks is damaged.

    `events` are those of a record that can no longer be read, and those that it could not take. Without `goes_on` the
    caller says what to do about a disk that takes nothing.
    """
    run = runs.assemble(list(events or journal.read(folder)), folder.name)
    if events and not _is_run(folder):  # read from there otherwise
        run = _without_return(run)
    failures = list(report.write(run, folder))
    try:
        for problem in benchmark_file.merge(folder):
            print_line(console, problem, style="yellow")
    except CannotWrite as error:
        failures.append(error)
    if failures:
        _say_unwritten(folder, failures, console, goes_on=goes_on)
    return run


def _without_return(run: Run) -> Run:
    """The run with no step that resumes it: nothing is left to be resumed."""
    results = (each.model_copy(update={"remedy": (NEW_RUN,)}) if _is_left(each) else each for each in run.results)
    return run.model_copy(update={"results": tuple(results)})


def _is_left(result: Result) -> bool:
    return result.remedy[-1:] == runs.NEVER_STARTED[-1:]  # the first is spelled for where the run was made


def _say_unwritten(folder: Path, failures: list[CannotWrite], console: Console, *, goes_on: bool) -> None:
    """One line for all files that could not be written, with what to do once."""
    names = ", ".join(error.path.name for error in failures)
    first = failures[0]
    steps = f". {first.step.rstrip('.')}. {way_on(folder)}" if goes_on else ""
    print_line(console, f"not written: {names} ({first.reason}){steps}", style="yellow")


def write_html_report(folder: Path, console: Console, stop: Stop) -> None:
    """Write the report with plots, in a process of its own: an error in the plot library costs no verdict."""
    args = [sys.executable, "-P", "-m", "dgxcert", "report", str(folder.resolve())]
    try:
        with stop.raising(beyond=stop.count):
            done = command.run(args, timeout_s=REPORT_S, env=suite.environment())
    except (OSError, KeyboardInterrupt) as error:
        problem = str(error) or "interrupted"
    else:
        problem = "" if done.returncode == 0 else done.complaint
    if problem:
        again = f"Try again: dgxcert report {folder}"
        print_line(console, f"report.html could not be written: {problem.rstrip('.')}. {again}", style="yellow")
