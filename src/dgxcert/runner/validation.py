"""Validating: open or resume a run folder, go through its stages, close it with a verdict."""

import functools
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console

from dgxcert import command, report
from dgxcert.container import builder, engine
from dgxcert.history import run_index, timeline
from dgxcert.machine import memory_guard, software
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import difference
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import CONTAINER, Options
from dgxcert.profiles import waivers
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import benchmark_file, journal, state
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.runner import interrupted_runs, session
from dgxcert.runner.pipeline import Course
from dgxcert.runner.progress import Progress
from dgxcert.runner.supervisor import Supervisor

DRAWING_S = 300.0
"""Longer than the largest report takes on the slowest machine."""


def validate(options: Options, results: Path, console: Console, answered: Path | None = None) -> tuple[Run, Path]:
    """Run a new validation and return it with its folder; `answered` names a file of waivers.

    Raises CannotStart when nothing can be run, before anything is written where possible.
    """
    where = suite.root()
    _must_fit(options)
    machine = session.read_machine()
    profile = session.choose_profile(options.profile, machine)
    fallen = interrupted_runs.close_fallen(results, machine)
    for words in fallen:
        console.print(words, style="yellow", markup=False, highlight=False, soft_wrap=True)
    catalogue = suite.collect(where, session.gpus_to_test(profile, machine))
    planned = selection.make(catalogue, profile, options)
    opened = journal.Opened(
        suite=suite.identity(where),
        options=options,
        profile=profile,
        machine=machine,
        plan=tuple(planned),
        ignored_environment=suite.ignored_environment(),
        fallen=fallen,
        waivers=_waivers(answered, catalogue, machine),
        earlier=run_index.earlier(results, timeline.known_as(machine)),
    )
    folder = _new_folder(results, machine)
    writer = journal.Writer(folder)
    writer.claim()
    writer.append(opened)
    return _work(folder, writer, [opened], console), folder


def _waivers(answered: Path | None, catalogue: list[Entry], machine: Machine) -> tuple[Waiver, ...]:
    """What somebody answers for on this machine; without a file named, one in the current folder counts."""
    path = answered or Path(waivers.NAME)
    if answered is None and not path.exists():
        return ()
    known = {name for entry in catalogue for name in (entry.id, entry.key, selection.any_gpu(entry.key))}
    return waivers.load(path, known, machine, datetime.now(UTC).date())


def resume(folder: Path, console: Console) -> Run:
    """Go on with a run that ended early. What was being measured then is inconclusive, unless a user stopped it.

    Raises CannotStart when the run was made on another machine or by another version of the suite, or when a waiver
    that it began with has expired.
    """
    events = journal.read(folder)
    opened = journal.opened(folder)
    machine = session.read_machine()
    _must_continue(opened, machine)
    _must_run_on(events)
    waivers.must_hold(opened.waivers, datetime.now(UTC).date())
    writer = journal.Writer(folder)
    writer.claim()
    lost, rebooted = state.in_flight(events), machine.boot_id != state.boot_id(events)
    writer.append(journal.Resumed(rebooted=rebooted, boot_id=machine.boot_id))
    if lost is not None and (rebooted or not state.resumes(lost, opened.plan)):
        writer.append(state.lost(lost, rebooted=rebooted))
    return _work(folder, writer, journal.read(folder), console)


def _must_fit(options: Options) -> None:
    """With --no-build, refuse an image that does not fit before anything is written."""
    if options.runtime is Runtime.NATIVE or options.build:
        return
    wanted = builder.recipe(options.stack, options.base)
    found = builder.find(options.image_reference)
    if found is None or difference(found, wanted):
        why = f"does not fit this checkout: {difference(found, wanted)}" if found else "does not exist"
        raise CannotStart(f"Image {options.image_reference} {why}.", "Build it: make image; or leave out --no-build.")


def _must_continue(opened: journal.Opened, machine: Machine) -> None:
    for name, before in opened.machine.identity.items():
        now = machine.identity[name]
        if now != before:
            raise CannotStart(
                f"The run was begun on another machine, or another state of it: {name} was {before} and is {now}.",
                "Resume it there, or start a new run here.",
            )
    now_suite = suite.identity(suite.root())
    if now_suite.sha256 != opened.suite.sha256:
        raise CannotStart(
            f"The run was begun by another suite (commit {opened.suite.commit}, here {now_suite.commit}).",
            "Check that version out to resume, or start a new run.",
        )


def _must_run_on(events: list[journal.Event]) -> None:
    """The rest of a run must be measured on the software that its beginning was measured on.

    Inside the container that is the image, by whose id the course holds it.
    """
    here = [event for event in events if isinstance(event, journal.SoftwareRead) and event.stage != CONTAINER]
    before = here[0].software if here else None
    now = software.read()
    if before is not None and now != before:
        names = {*now.packages, *before.packages}
        changed = sorted(name for name in names if now.packages.get(name) != before.packages.get(name))
        raise CannotStart(
            f"The run was begun on other software: {', '.join(changed) or 'Python or the container'} changed since.",
            "Install what it ran on, or start a new run.",
        )


def _work(folder: Path, writer: journal.Writer, events: list[journal.Event], console: Console) -> Run:
    """Run what is left, then write the faces of the run, whatever ended it."""
    opened = events[0]
    if not isinstance(opened, journal.Opened):
        raise TypeError("the first event of a record must be Opened")
    about = f"profile {opened.profile.name} ({opened.profile.machine}), tier {opened.options.tier.value}"
    console.print(f"{about}\n{_where(opened.options)}\nrun folder {folder}", soft_wrap=True, markup=False)
    try:
        with _stopped_like_ctrl_c(), Progress(console, _expected_s(folder, opened)) as progress:
            floor = opened.profile.memory.floor
            short = functools.partial(memory_guard.shortage, floor.value, floor.source)
            supervisor = Supervisor(folder, writer, progress, state.attempts(events), short)
            Course(opened, folder, writer, supervisor, progress.say).run()
    except KeyboardInterrupt:
        console.print("interrupted: writing what is known")
    finally:
        writer.close()
        run = close(folder)  # whatever happened: nothing that was measured is lost
    _draw(folder, console)
    return run


def _where(options: Options) -> str:
    """Where the work is done, and by which clients and engine."""
    if options.runtime is Runtime.NATIVE:
        because = f", since {options.runtime_because}" if options.runtime_because else ""
        return f"runtime native: the work is done in this environment{because}"
    try:
        clients = f"{engine.docker()}, {' '.join(engine.compose())}"
    except CannotStart as error:
        return f"runtime docker: {error.problem}"
    return f"runtime docker: image {options.image_reference}, engine {engine.endpoint() or 'unknown'} by {clients}"


def close(folder: Path) -> Run:
    """Rebuild run.json and its other faces from the record."""
    run = runs.assemble(journal.read(folder), folder.name)
    benchmark_file.merge(folder)
    report.write(run, folder)
    return run


def _draw(folder: Path, console: Console) -> None:
    """Write the faces that take a library to draw, in a process of its own: what goes wrong there costs no verdict."""
    drawing = [sys.executable, "-P", "-m", "dgxcert", "report", str(folder.resolve())]
    try:
        drawn = command.run(drawing, timeout_s=DRAWING_S, env=suite.environment())
    except (OSError, KeyboardInterrupt) as error:
        trouble = str(error) or "interrupted"
    else:
        trouble = "" if drawn.returncode == 0 else drawn.complaint
    if trouble:
        words = f"report.html could not be written: {trouble}. Try again: dgxcert report {folder}"
        console.print(words, style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let a polite kill or a lost terminal end the run as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Under nohup a lost terminal is ignored, and stays so.
    heeded = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _new_folder(results: Path, machine: Machine) -> Path:
    """Make the run's own folder; raises CannotStart when that cannot be written to."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", machine.hostname).strip("-.")[:40] or "machine"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(1, 100):
        folder = results / (f"{stamp}-{host}" if number == 1 else f"{stamp}-{host}-{number}")
        try:
            (folder / "logs").mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                continue
            raise CannotStart(f"{results} is not a folder.", "Name another with --results.") from None
        except OSError as error:
            raise CannotStart(
                f"Results folder {results} cannot be written: {error.strerror}.",
                f"Name another with --results, or make it yours: sudo chown {os.getuid()} {results}",
            ) from error
        return folder
    raise CannotStart(f"{results} holds 99 runs of this very second.", "Try again.")


def _expected_s(folder: Path, opened: journal.Opened) -> dict[str, float]:
    """How long each requirement took in the last finished run of this profile here; a guess better than none."""
    for other in sorted(folder.parent.glob(f"*/{runs.NAME}"), reverse=True):
        try:
            last = runs.load(other.parent)
        except CannotStart:
            continue  # written by another version: it only costs the estimate
        if last.profile.name == opened.profile.name and last.machine.hostname == opened.machine.hostname:
            return {result.key: result.duration_s for result in last.results if result.duration_s is not None}
    return {}
