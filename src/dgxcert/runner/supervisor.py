"""The supervisor: runs a stage's requirements in a child process and watches it from outside.

A requirement that outlives its budget is killed with its whole process group; a child that dies costs the one
requirement it was measuring. Either is recorded by name and the rest continues in a fresh child. The supervisor itself
never calls the driver and never imports torch, so that no hang or crash there reaches it.

It alone writes the record: a child says over its channel what happens, and what it may not say ends it.

On a machine with several GPUs a lane for each has a child of its own at the same time (`plan.lanes`), in a thread: what
one waits for, as the end of a process that hangs, delays no other. Record, state and progress are used in turn.
"""

import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from dgxcert import command
from dgxcert.files import place
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.files.folder import Folder
from dgxcert.outcome import Outcome
from dgxcert.plan import lanes
from dgxcert.plan.selection import Planned
from dgxcert.record import journal
from dgxcert.record.state import RunState
from dgxcert.runner.channel import brief
from dgxcert.runner.channel.admission import Admission, Refused
from dgxcert.runner.channel.listener import Listener, Unfit
from dgxcert.runner.child_log import ChildLog
from dgxcert.runner.excess import Excess
from dgxcert.runner.interrupts import Stop
from dgxcert.runner.lanes import host_share, together
from dgxcert.runner.lanes.child import INSIDE, Child, Work
from dgxcert.runner.lanes.host_share import WHOLE
from dgxcert.runner.launcher import GRACE_S, Launcher
from dgxcert.runner.progress import Progress

POLL_S = 0.05
INTERRUPT_GRACE_S = 5.0
IMPATIENT = 2
"""Signals that say: at once."""
LOGS = "logs"
STOPPED_S = 3.0
"""Between two looks at a child lie 0.05 s and what is recorded; after longer, this process was stopped."""
WRITTEN = f"something wrote into {journal.NAME}"
STRIKES = 2
"""Children in a row that may end without having started a requirement."""
FREED_S = 1.0
"""How long a child that was killed for its memory takes to free it: until then no other lane's is killed."""


class Ear(NamedTuple):
    """How a child is heard."""

    listener: Listener
    admission: Admission


class Supervisor:
    """Runs the stages of one run."""

    def __init__(
        self,
        opened: journal.Opened,
        folder: Path,
        writer: journal.Writer,
        progress: Progress,
        state: RunState,
        shortage: Callable[[], str] = lambda: "",
        stop: Stop | None = None,
    ) -> None:
        """`state` is that of the record so far, and is kept up to date with it. `stop` counts what ends the run.

        `shortage` says why the machine is short of memory, or "". Children guard themselves against that; this is for
        a child that no longer can.
        """
        self._opened = opened
        self._folder = folder
        self._writer = writer
        self._progress = progress
        self._state = state
        self._shortage = shortage
        self._stop = stop or Stop()
        self._turn = threading.RLock()
        """Who has it uses record, state and progress."""
        self._over = threading.Event()
        """Set where one lane cannot go on, which ends all."""
        self._children: dict[int, Child] = {}
        """Those that work now, by number."""
        self._numbers = 0
        self._freed = float("-inf")

    def run_stage(self, stage: str, launcher: Launcher, plan: list[Planned]) -> None:
        """Run every requirement of the plan that waits, in children of the launcher, until none does.

        Raises CannotStart where the record cannot be written, KeyboardInterrupt where the user ends the run.
        """
        waiting = self._waiting(stage, plan)
        self._progress.stage(stage, plan, {entry.key for entry in plan} - waiting.keys())
        problems = self._run_phases(stage, launcher, plan)
        unstarted = self._waiting(stage, plan).keys() - self._state.finished
        why = "; ".join(dict.fromkeys(filter(None, problems)))
        ending = f"{len(unstarted)} requirements were never started: {why}" if unstarted else ""
        self._record(journal.StageEnded(stage=stage, problem=ending))
        if said := self._writer.strange():
            self._refuse(stage, self._state.children, Unfit(said.encode(), WRITTEN))

    def _run_phases(self, stage: str, launcher: Launcher, plan: list[Planned]) -> list[str]:
        """Run phase after phase until nothing waits; returns how the last children of lanes that stand still ended.

        What was disturbed is measured again in another round, when all phases are over.
        """
        phases = [self._works(stage, launcher, number, phase) for number, phase in enumerate(lanes.phases(plan))]
        still: dict[tuple[int, int | None], str] = {}

        def moving(work: Work) -> bool:
            return bool(self._waiting(stage, work.lane.plan)) and (work.phase, work.lane.gpu) not in still

        while any(moving(work) for phase in phases for work in phase):
            for phase in phases:
                working = [work for work in phase if moving(work)]
                calls = [functools.partial(self._run_lane, work, len(phases) == 1) for work in working]
                ends = together.make(calls, self._over)
                still |= {(work.phase, work.lane.gpu): why for work, why in zip(working, ends, strict=True) if why}
        return list(still.values())

    def _works(self, stage: str, launcher: Launcher, number: int, phase: lanes.Phase) -> list[Work]:
        """The lanes of a phase, each with its share of the host."""
        gpus = [lane.gpu for lane in phase if lane.gpu is not None]
        machine = self._opened.machine
        on_bus = len(machine.gpus) + len(machine.display_adapters)
        shares = host_share.of_lanes(gpus, on_bus) if len(gpus) > 1 else (WHOLE,) * len(phase)
        pairs = zip(phase, shares, strict=True)
        return [Work(stage, number, launcher.for_share(share), lane, share) for lane, share in pairs]

    def _run_lane(self, work: Work, at_once: bool) -> str:
        """Measure what waits of a lane, in child after child; returns why it stands still, or "".

        With `at_once` the next child also repeats what was disturbed: where no other lane has anything to measure.
        """
        strikes, problem = 0, ""
        measured: set[str] = set()
        while strikes < STRIKES:
            waiting = self._waiting(work.stage, work.lane.plan)
            left = {key: entry for key, entry in waiting.items() if at_once or key not in measured}
            if not left:
                return ""
            child, problem = self._run_child(work, left)
            strikes = 0 if child.started_any else strikes + 1
            measured |= child.done
        return problem

    def _waiting(self, stage: str, plan: Sequence[Planned]) -> dict[str, Planned]:
        """What is still to be measured of a plan, by key.

        A benchmark that was disturbed waits again, for the next child: at the end of the stage its neighbour has had
        the time of all other requirements to go away, and whatever the first process had in memory is gone. Measured
        again at once it would meet the same neighbour; the price is one start of Python and torch.
        """
        with self._turn:
            return {entry.key: entry for entry in plan if self._state.waits(entry.key, stage)}

    def _run_child(self, work: Work, waiting: dict[str, Planned]) -> tuple[Child, str]:
        """Run one child to its end. Returns it and a description of how it ended."""
        number = self._next_number()
        log, inside = Path(LOGS) / f"{work.stage}-{number}.log", self._folder / work.inside
        with ChildLog(self._new_log(log.name, work), self._folder / log) as output:
            process = work.launcher.start(number, inside, output.pipe)
            child = Child(process, waiting, work.stage, number, Excess(inside, output.file), work.share)
            child.resident = functools.partial(work.launcher.resident_bytes, process)
            with self._turn:
                given = brief.write(self._opened, self._state, work.stage, number, tuple(waiting), work.share)
            rules = Admission(work.stage, number, given.keys, self._opened.profile, software=given.reads_software)
            ear = Ear(Listener(process.stdin, process.stdout, output.pipe), rules)
            try:
                with self._working(child):
                    self._record(_began(work, child, log))
                    ear.listener.hand({"brief": given.model_dump(mode="json")})
                    problem = self._watch(child, ear, work.launcher, output)
            except KeyboardInterrupt:
                self._interrupt(child, ear, work.launcher)
                raise
            finally:
                work.launcher.end(process, grace_s=1.0)
                ear.listener.close()
        if process.returncode:
            self._require_disk()
        self._settle(child, problem)
        return child, problem

    def _next_number(self) -> int:
        """The number of a new child, counted over the whole run."""
        with self._turn:
            self._numbers = max(self._numbers, self._state.children) + 1
            return self._numbers

    @contextmanager
    def _working(self, child: Child) -> Iterator[None]:
        with self._turn:
            self._children[child.number] = child
        try:
            yield
        finally:
            with self._turn:
                del self._children[child.number]

    def _require_disk(self) -> None:
        """Raise CannotWrite where the run folder takes no more: then a child has not died of what it measured.

        A full disk ends pytest at its next line of output, which would look like a crash of the requirement.
        """
        logs = self._folder / LOGS
        try:
            place.require_writable(logs)
        except OSError as error:
            raise CannotWrite(logs, error) from error

    def _watch(self, child: Child, ear: Ear, launcher: Launcher, log: ChildLog) -> str:
        """Hear the child until it ends or has to be killed; returns how it ended."""
        oom_kills = _oom_kills()
        while True:
            running = child.process.poll() is None  # read before hearing, so that no last event is missed
            self._hear(child, ear, POLL_S if running else 0)
            if child.refused:
                launcher.end(child.process, GRACE_S)
                return f"its process was ended, {child.refused}"
            if not running:
                if child.stopped:
                    return f"it stopped itself: {child.stopped}"
                ending, sigkill = launcher.death(child.process.returncode, log.settled())
                out_of_memory = sigkill and _oom_kills() > oom_kills
                return f"{ending}, by the kernel's out-of-memory killer" if out_of_memory else ending
            self._forgive(child, ear)
            reason = self._kill_reason(child)
            child.looked = time.monotonic()  # these looks take as long as its own files make them take: no stop of ours
            if reason:
                dead = launcher.end(child.process, GRACE_S)
                self._hear(child, ear)
                # A process in an uninterruptible driver call survives SIGKILL until the call returns.
                stuck = "" if dead else "; it survives SIGKILL, so it hangs in the driver: restart the machine"
                return f"{reason}{stuck}"
            self._stop.check()
            if self._over.is_set():
                raise KeyboardInterrupt
            with self._turn:
                self._progress.tick()

    def _forgive(self, child: Child, ear: Ear) -> None:
        """Do not count time in which this process was stopped itself, as by Ctrl-Z: nobody heard the child then."""
        now = time.monotonic()
        stopped_s, child.looked = now - child.looked, now
        if stopped_s > STOPPED_S:
            child.since += stopped_s
            ear.admission.forgive(stopped_s)
            with self._turn:
                self._progress.say(f"this process was stopped for {stopped_s:.0f} s, which count for no time limit")

    def _kill_reason(self, child: Child) -> str:
        """Why a child must be killed, or "": its time budget is over, or the machine runs out of memory."""
        if child.overdue:
            return f"it timed out after {child.budget_s:.0f} s, its time budget"
        reason = self._short_by(child) or child.excess()
        return f"it was killed because {reason}" if reason else ""

    def _short_by(self, child: Child) -> str:
        """Why the machine is short of memory, where this child must free some; "" otherwise.

        Of several that work the one that has the most: the others go on once it has ended.
        """
        if not child.works or child.current is None:
            return ""
        shortage = self._shortage()
        if not shortage or child.share.lanes == 1:
            return shortage
        with self._turn:
            working = [each for each in self._children.values() if each.current is not None]
        most = max(working, key=lambda each: each.resident(), default=child)  # which may ask the engine, in no turn
        with self._turn:
            if most is not child or time.monotonic() < self._freed:
                return ""
            self._freed = time.monotonic() + FREED_S
        return shortage

    def _new_log(self, name: str, work: Work) -> IO[bytes]:
        """The log of a child: a new file, never one that is there, and through no link that another child has left.

        Raises CannotWrite where it cannot be made.
        """
        try:
            with Folder.opened(self._folder) as run, run.folder(LOGS, make=True) as logs:
                with run.folder(INSIDE, make=True) as inside:
                    if work.inside.name != INSIDE:
                        inside.folder(work.inside.name, make=True).close()
                logs.discard(name)  # of a supervisor that was killed before it recorded this child
                return logs.create(name)
        except OSError as error:
            raise CannotWrite(self._folder / LOGS / name, error) from error

    def _hear(self, child: Child, ear: Ear, wait_s: float = 0) -> None:
        """Record what the child says, and tell it so; the first thing that it may not say is the last that is heard."""
        if child.refused:
            return
        try:
            with self._turn:
                if said := self._writer.strange():
                    raise Unfit(said.encode(), WRITTEN)
            messages = ear.listener.hear(wait_s)
            heard = time.monotonic()
            with self._turn:
                ear.admission.forgive(time.monotonic() - heard)  # it waited for other lanes, whose stopwatch is ours
                self._forgive(child, ear)
                for message in messages:
                    self._take(child, ear, message)
        except Unfit as error:
            child.refused = f"since it said what it may not: {error.why}"
            self._refuse(child.stage, child.number, error)

    def _take(self, child: Child, ear: Ear, message: bytes) -> None:
        """Record one message of a child. Raises Unfit where the child may not say it."""
        try:
            event = ear.admission.admit(message)
        except Refused as error:
            raise Unfit(message, str(error)) from error
        self._record(event)
        self._show(child, event)
        ear.listener.acknowledge()

    def _refuse(self, stage: str, child: int, said: Unfit) -> None:
        self._record(journal.Refused(stage=stage, child=child, said=said.said, why=said.why))

    def _show(self, child: Child, event: journal.Event) -> None:
        child.take(event)
        if isinstance(event, journal.Started):
            self._progress.started(event.key)
        elif isinstance(event, journal.Said):
            self._progress.said(event)
        elif isinstance(event, journal.Finished):
            self._progress.finished(event, again=self._state.waits(event.key, child.stage))

    def _settle(self, child: Child, problem: str) -> None:
        """Record the requirement that was in flight when the child ended."""
        if child.current is None:
            return
        event = journal.Finished(
            key=child.current,
            outcome=Outcome.INCONCLUSIVE,
            duration_s=round(time.monotonic() - child.since, 3),
            reason=f"{child.current} did not end by itself: {problem}",
            remedy=(
                "Read the end of this run's newest log, and `sudo dmesg | tail -50` for the driver and for memory.",
                f"Run it alone: make validate ONLY='{child.current}'",
                "If it hangs or dies again, restart the machine; after that, keep this run folder for support.",
            ),
        )
        with self._turn:
            self._record(event)
            child.take(event)
            self._progress.finished(event)

    def _interrupt(self, child: Child, ear: Ear, launcher: Launcher) -> None:
        """End the child as Ctrl-C would; another signal skips the time that it is given for that."""
        command.signal_group(child.process, signal.SIGINT)
        deadline = time.monotonic() + INTERRUPT_GRACE_S
        while child.process.poll() is None and time.monotonic() < deadline and self._stop.count < IMPATIENT:
            self._hear(child, ear, POLL_S)
        launcher.end(child.process, GRACE_S)
        self._hear(child, ear)

    def _record(self, event: journal.Event) -> None:
        """Write an event into the record, with the time at which it is written: lanes wait for each other."""
        with self._turn:
            timed = event.model_copy(update={"at": journal.now()}) if len(self._children) > 1 else event
            self._writer.append(timed)
            self._state.take(timed)


def _began(work: Work, child: Child, log: Path) -> journal.ChildStarted:
    return journal.ChildStarted(
        stage=work.stage,
        number=child.number,
        pid=child.process.pid,
        log=str(log),
        phase=work.phase,
        gpu=work.share.gpu,
        bound=work.share.bound,
    )


def _oom_kills() -> int:
    """Processes that the kernel has killed for memory since boot; 0 where it does not report that."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
