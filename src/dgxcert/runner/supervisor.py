"""The supervisor: runs a stage's requirements in a child process and watches it from outside.

A requirement that outlives its budget is killed with its whole process group; a child that dies costs the one
requirement it was in. Either is recorded by name and the rest goes on in a fresh child. The supervisor itself never
calls the driver and never imports torch, so nothing that hangs or crashes there can take it along.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dgxcert import command
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import WORKING
from dgxcert.plan.selection import Planned
from dgxcert.record import journal
from dgxcert.runner.launcher import GRACE_S, Launcher
from dgxcert.runner.session import CANNOT_RECORD

POLL_S = 0.05
START_BUDGET_S = 120.0
"""From a child's start to its first requirement, and between two: Python and pytest start, nothing else."""
END_BUDGET_S = 60.0
"""From the last requirement to the child's end: pytest-benchmark writes its file."""
INTERRUPT_GRACE_S = 5.0
STRIKES = 2
"""So many children in a row may end without having begun a requirement."""


class Watcher(Protocol):
    """Who is told what happens: the progress display."""

    def stage(self, name: str, plan: list[Planned], done: set[str]) -> None:
        """A stage begins, some of its requirements having ended before."""

    def started(self, key: str) -> None:
        """A requirement begins."""

    def said(self, event: journal.Said) -> None:
        """A requirement tells how far it has come."""

    def finished(self, event: journal.Finished) -> None:
        """A requirement has ended."""

    def tick(self) -> None:
        """Time has passed."""


class Follower:
    """Reads the events that were appended to a record since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / journal.NAME
        self._position = self._path.stat().st_size

    def events(self) -> list[journal.Event]:
        """New whole lines, parsed."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        return [event for line in whole.splitlines() if (event := journal.parse(line.decode())) is not None]


class Child:
    """One pytest process and where it stands."""

    def __init__(self, process: "subprocess.Popen[bytes]", plan: dict[str, Planned], *, works: bool) -> None:
        self.process = process
        self.works = works
        """Whether it does work that takes memory: others only look, also at a machine that has none left."""
        self.current: str | None = None
        self.began_any = False
        self.done: set[str] = set()
        self.stopped = ""
        """Why it ended itself, if it did."""
        self._plan = plan
        self.since = time.monotonic()

    def take(self, event: journal.Event) -> None:
        """Follow the child's own record."""
        if isinstance(event, journal.Started):
            self.current, self.began_any = event.key, True
        elif isinstance(event, journal.Finished):
            self.current = None
            self.done.add(event.key)
        elif isinstance(event, journal.Stopped):
            self.stopped = event.reason
        if not isinstance(event, journal.Said):  # talking does not prolong a budget
            self.since = time.monotonic()

    @property
    def budget_s(self) -> float:
        """How long it may take over what it is doing now."""
        if self.current is not None:
            return self._plan[self.current].budget_s
        return END_BUDGET_S if self.done >= set(self._plan) else START_BUDGET_S

    @property
    def overdue(self) -> bool:
        """Whether it has outlived that."""
        return time.monotonic() - self.since > self.budget_s


class Supervisor:
    """Runs the stages of one run."""

    def __init__(
        self,
        folder: Path,
        writer: journal.Writer,
        watcher: Watcher,
        attempts: int = 0,
        shortage: Callable[[], str] = lambda: "",
    ) -> None:
        """`attempts` is how many children the run has had before: each one's log and benchmarks are kept.

        `shortage` says in words when the machine runs out of memory. Children guard themselves against that; this is
        for one that no longer can.
        """
        self._shortage = shortage
        self._folder = folder
        self._writer = writer
        self._watcher = watcher
        self._attempts = attempts

    def run_stage(self, stage: str, launcher: Launcher, plan: list[Planned], done: set[str]) -> None:
        """Run every requirement of the plan that has not ended yet, in children of the launcher.

        Raises CannotStart when the record cannot be written, KeyboardInterrupt (after recording it) when the user
        ends the run.
        """
        self._watcher.stage(stage, plan, done)
        waiting = {entry.key: entry for entry in plan if entry.key not in done}
        strikes = 0
        while waiting and strikes < STRIKES:
            child, problem = self._run_child(stage, launcher, waiting)
            for key in child.done:
                waiting.pop(key, None)
            strikes = 0 if child.began_any else strikes + 1
        ending = f"{len(waiting)} requirements were never begun: {problem}" if waiting else ""
        self._record(journal.StageEnded(stage=stage, problem=ending))

    def _run_child(self, stage: str, launcher: Launcher, waiting: dict[str, Planned]) -> tuple[Child, str]:
        """Run one child to its end, whatever that is. Returns it and, in words, how it ended."""
        self._attempts += 1
        log = Path("logs") / f"{stage}-{self._attempts}.log"
        follower = Follower(self._folder)
        with (self._folder / log).open("wb") as output:
            process = launcher.start(stage, self._attempts, output)
            child = Child(process, waiting, works=stage in WORKING)
            try:
                self._record(journal.Attempt(stage=stage, number=self._attempts, pid=process.pid, log=str(log)))
                problem = self._watch(child, launcher, follower, self._folder / log)
            except KeyboardInterrupt:
                self._interrupt(child, launcher, follower)
                raise
            finally:
                launcher.end(process, grace_s=1.0)
        if process.returncode == CANNOT_RECORD:
            raise CannotStart(
                f"{self._folder / journal.NAME} could not be gone on with by the {stage} stage: {log} says why.",
                f"Make room if the disk is full, then: dgxcert validate --resume {self._folder}",
            )
        self._settle(child, problem)
        return child, problem

    def _watch(self, child: Child, launcher: Launcher, follower: Follower, log: Path) -> str:
        """Follow the child until it ends or has to be ended; returns why it ended, in words."""
        oom_kills = _oom_kills()
        while True:
            running = child.process.poll() is None
            self._follow(child, follower)
            if not running:
                if child.stopped:
                    return f"it stopped itself: {child.stopped}"
                words, killed = launcher.death(child.process.returncode, log)
                return (
                    f"{words}, by the kernel's out-of-memory killer" if killed and _oom_kills() > oom_kills else words
                )
            if trouble := self._trouble(child):
                gone = launcher.end(child.process, GRACE_S)
                self._follow(child, follower)
                stuck = (
                    "" if gone else "; it does not even die when killed, so the driver holds it: restart the machine"
                )
                return f"it was ended from outside {trouble}{stuck}"
            self._watcher.tick()
            time.sleep(POLL_S)

    def _trouble(self, child: Child) -> str:
        """Why a child must be ended from outside, if so: its time is over, or the machine runs out of memory."""
        if child.overdue:
            return f"after {child.budget_s:.0f} s, its time budget"
        words = self._shortage() if child.works and child.current is not None else ""
        return f"because {words}" if words else ""

    def _follow(self, child: Child, follower: Follower) -> None:
        for event in follower.events():
            child.take(event)
            if isinstance(event, journal.Started):
                self._watcher.started(event.key)
            elif isinstance(event, journal.Said):
                self._watcher.said(event)
            elif isinstance(event, journal.Finished):
                self._watcher.finished(event)

    def _settle(self, child: Child, problem: str) -> None:
        """Record the requirement that the child took with it."""
        if child.current is None:
            return
        event = journal.Finished(
            key=child.current,
            outcome=Outcome.INCONCLUSIVE,
            duration_s=round(time.monotonic() - child.since, 3),
            reason=f"{child.current} did not end by itself: {problem}",
            remedy=(
                "Read the end of this run's newest log, and `sudo dmesg | tail -50` for the driver and for memory.",
                f"Run it alone: dgxcert validate --only '{child.current}'",
                "If it hangs or dies again, restart the machine; after that, keep this run folder for support.",
            ),
        )
        self._record(event)
        child.take(event)
        self._watcher.finished(event)

    def _interrupt(self, child: Child, launcher: Launcher, follower: Follower) -> None:
        """End the child as Ctrl-C would, then record what it was doing; that may be measured again."""
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C means: at once
            command.signal_group(child.process, signal.SIGINT)
            deadline = time.monotonic() + INTERRUPT_GRACE_S
            while child.process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
        launcher.end(child.process, GRACE_S)
        self._follow(child, follower)
        self._record(journal.Interrupted(by="the user", key=child.current))

    def _record(self, event: journal.Event) -> None:
        self._writer.append(event)


def _oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
