"""Validation: open or resume a run folder, run its stages, close it with a verdict."""

import functools
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from dgxcert.console import print_line
from dgxcert.container import builder, engine
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.files.folder import PRIVATE_FOLDER
from dgxcert.history import run_index, timeline
from dgxcert.machine import memory_guard
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import difference
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import environment, installation, own_checks, selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.estimate import Estimate
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles import site, waivers
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import journal
from dgxcert.record.state import RunState
from dgxcert.report.terminal import Detail
from dgxcert.runner import closing, interrupted_runs, interrupts, resumption, session, turn
from dgxcert.runner.closing import Ended
from dgxcert.runner.interrupts import Stop
from dgxcert.runner.pipeline import Pipeline
from dgxcert.runner.progress import Progress
from dgxcert.runner.supervisor import Supervisor

RUN_FOLDER = 0o751
"""Mode of a run's own folder: a collector passes through to metrics.prom, and to what it mounts an engine whose root is
nobody on a network file system. What else is in it has modes of its own."""

SHOWN = 3
"""Runs that could not be read and are named before a new one."""


def validate(
    options: Options,
    results: Path,
    console: Console,
    waiver_file: Path | None = None,
    detail: Detail = Detail.USUAL,
) -> Ended:
    """Run a new validation.

    Raises CannotStart where nothing can be run or another run is measuring, before anything is written where possible.
    """
    with interrupts.held() as stop:
        try:
            with stop.raising():
                opened = _opened(options, results, console, waiver_file)
        except KeyboardInterrupt:
            raise CannotStart("interrupted before anything was measured; there is no run folder.") from None
        with turn.taken(results):
            folder = _new_folder(results, opened.machine)
            writer = _new_record(folder, opened)
            return _work(opened, folder, writer, RunState([opened]), console, stop, detail)


class Decided(NamedTuple):
    """What is on the machine, what is expected of it, and what of the catalogue is measured."""

    machine: Machine
    profile: Profile
    catalogue: list[Entry]
    plan: list[Planned]


def decide(options: Options) -> Decided:
    """Look at the machine and make the plan of a run; writes nothing. Raises CannotStart where none can start."""
    _require_host_packages(options)
    _require_image(options)
    machine = session.read_machine()
    profile = session.choose_profile(options.profile, machine)
    if options.site:
        profile = site.apply(profile, Path(options.site))
    displays = session.display_adapters(profile, machine)
    gpus = session.gpus_to_test(profile, machine)
    catalogue = suite.collect(suite.root(), gpus, without=displays)
    if options.checks:
        catalogue += suite.collect(suite.root(), gpus, without=displays, own=Path(options.checks))
    return Decided(machine, profile, catalogue, selection.make(catalogue, profile, options, profile.gpus_in(machine)))


def _opened(options: Options, results: Path, console: Console, waiver_file: Path | None) -> journal.Opened:
    """All that is decided before anything is measured."""
    machine, profile, catalogue, planned = decide(options)
    interrupted = interrupted_runs.close_interrupted(
        results, machine, lambda line: print_line(console, line, style="yellow")
    )
    known = run_index.read(results)
    for message in (*interrupted, *_skipped(known.unreadable, results)):
        print_line(console, message, style="yellow")
    return journal.Opened(
        suite=suite.identity(suite.root()),
        options=options,
        profile=profile,
        machine=machine,
        plan=tuple(planned),
        ignored_environment=suite.ignored_environment(),
        unusual_environment=environment.unusual(),
        fallen=interrupted,
        waivers=read_waivers(waiver_file, catalogue, machine),
        own=own_checks.read(Path(options.checks)) if options.checks else None,
        earlier=known.of(timeline.known_as(machine)),
    )


def _new_record(folder: Path, opened: journal.Opened) -> journal.Writer:
    """The record of a new run. Where it takes no line, its folder is removed: it would be the folder of no run."""
    try:
        writer = journal.Writer(folder)
        writer.claim()
        writer.append(opened)
    except CannotStart:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return writer


def _skipped(unreadable: dict[str, str], results: Path) -> list[str]:
    """A line about each of the first runs that could not be read, and where the others are listed."""
    lines = [f"skipped {results / name}: {reason}" for name, reason in unreadable.items()]
    more = f"and {len(lines) - SHOWN} more, which this lists: dgxcert history --results {results}"
    return [*lines[:SHOWN], *([more] if len(lines) > SHOWN else [])]


def read_waivers(file: Path | None, catalogue: list[Entry], machine: Machine) -> tuple[Waiver, ...]:
    """The waivers of this machine; without a named file, the one in the current folder counts if there is one."""
    path = file or Path(waivers.NAME)
    if file is None and not path.exists():
        return ()
    known = {name for entry in catalogue for name in (entry.id, entry.key, selection.any_gpu(entry.key))}
    return waivers.load(path, known, machine, datetime.now(UTC).date())


def resume(folder: Path, console: Console, detail: Detail = Detail.USUAL) -> Ended:
    """Continue a run that ended early or with something inconclusive, which is measured again (`RunState.waits`).

    Raises CannotStart where nothing waits or the run is signed, where it was made on another machine or by another
    version of the suite, or where a waiver that it started with has expired.
    """
    with interrupts.held() as stop:
        try:
            with stop.raising():
                opened = journal.opened(folder)
                machine = session.read_machine()
                current = suite.identity(suite.root())
                resumption.require_same(opened, RunState(journal.read(folder)), machine, current)
        except KeyboardInterrupt:
            raise CannotStart(f"interrupted before {folder} was continued; it is as it was.") from None
        return _continue(opened, machine, folder, console, stop, detail)


def _continue(
    opened: journal.Opened, machine: Machine, folder: Path, console: Console, stop: Stop, detail: Detail
) -> Ended:
    writer = journal.Writer(folder)
    writer.claim()
    state = RunState(journal.read(folder))  # once the run is ours: a child of the last process may just have ended
    if resumption.only_reports_are_missing(opened, state, folder):
        print_line(console, "Everything was measured already; the reports are written from the record.")
        writer.close()
        return Ended(closing.close(folder, console), folder)
    events = resumption.beginning(opened, state, machine)
    for event in events:
        state.take(event)
    resumption.require_waiting(opened, state, folder)  # before anything is written
    with turn.taken(folder.parent):
        for event in events:
            writer.append(event)
        return _work(opened, folder, writer, state, console, stop, detail)


def _require_host_packages(options: Options) -> None:
    """Refuse a wheel without its extra `host`: it would find neither engine nor anything to write reports with."""
    missing = installation.lacks("host") if suite.is_installed() and options.runtime is Runtime.DOCKER else []
    if missing:
        raise CannotStart(
            f"wanted the packages of dgxcert's extra `host`, found no {', '.join(missing)}.",
            f"Install the wheel with it: {sys.executable} -m pip install 'DGXCERT.whl[host]'; "
            "or uvx --from 'DGXCERT.whl[host]' dgxcert validate",
        )


def _require_image(options: Options) -> None:
    """With --no-build, refuse an image that does not fit, before anything is written."""
    if options.runtime is Runtime.NATIVE or options.build:
        return
    recipe = builder.recipe(options.stack, options.base)
    image = builder.find(options.image_reference)
    if image is None or difference(image, recipe):
        why = f"does not fit this checkout: {difference(image, recipe)}" if image else "does not exist"
        raise CannotStart(f"Image {options.image_reference} {why}.", "Build it: make image; or leave out --no-build.")


def _work(
    opened: journal.Opened,
    folder: Path,
    writer: journal.Writer,
    state: RunState,
    console: Console,
    stop: Stop,
    detail: Detail = Detail.USUAL,
) -> Ended:
    """Run what is left, then write the run's reports, whatever ended it."""
    if detail is not Detail.VERDICT:
        print_line(console, heading(opened.options, opened.profile, folder, brief=console.is_terminal))
    trouble: CannotStart | None = None
    unwritten: list[journal.Event] = []
    try:
        _measure(opened, folder, writer, state, console, stop, detail)
    except KeyboardInterrupt:
        print_line(console, "interrupted: writing the reports of what was measured")
        unwritten = _interrupted(writer, state, "the user")
    except (CannotStart, OSError) as error:
        trouble = error if isinstance(error, CannotStart) else CannotWrite(Path(error.filename or writer.path), error)
        unwritten = _interrupted(writer, state, trouble.cause) if isinstance(trouble, CannotWrite) else []
    finally:
        events = [*writer.events(), *unwritten]
        writer.close()
        # whatever happened: nothing that was measured is lost
        run = closing.close(folder, console, events, goes_on=trouble is None)
    if trouble is None:
        closing.write_html_report(folder, console, stop)
    return Ended(run, folder, trouble)


def _measure(
    opened: journal.Opened,
    folder: Path,
    writer: journal.Writer,
    state: RunState,
    console: Console,
    stop: Stop,
    detail: Detail,
) -> None:
    """Run all stages that are left.

    Raises KeyboardInterrupt where the user ends the run, CannotStart or OSError where the disk does.
    """
    plan = [entry for entry in opened.plan if entry.runs]
    runtime = opened.options.runtime
    known = run_index.durations(folder.parent, opened.machine, opened.profile.name, runtime)
    image = runtime is Runtime.DOCKER and state.image is None
    with Progress(console, plan, Estimate(plan, known), image=image, detail=detail) as progress:
        floor = opened.profile.memory.floor
        shortage = functools.partial(memory_guard.shortage, floor.value, floor.source)
        supervisor = Supervisor(opened, folder, writer, progress, state, shortage, stop)
        changed = functools.partial(resumption.suite_changed, opened)
        Pipeline(opened, folder, writer, state, supervisor, progress, changed, stop).run()


def _interrupted(writer: journal.Writer, state: RunState, by: str) -> list[journal.Event]:
    """Record what ended the run, and what was being measured: that is measured again. What the record did not take."""
    keys = tuple(started.key for started in state.in_flight)
    event = journal.Interrupted(by=by, key=keys[0] if keys else None, beside=keys[1:])
    try:
        writer.append(event, last=True)
    except CannotStart:
        return [event]
    return []


def heading(options: Options, profile: Profile, folder: Path, *, brief: bool) -> str:
    """The first lines of a run: what is measured, where, and the folder that it is kept in.

    A `brief` one fits a terminal; a log also keeps which clients and engine did the work.
    """
    about = f"profile {profile.name} ({profile.machine}), tier {options.tier.value}"
    return f"{about}\n{_where(options, brief=brief)}\nrun folder {folder}"


def _where(options: Options, *, brief: bool) -> str:
    """Where the work is done, and by which Docker clients and engine."""
    if options.runtime is Runtime.NATIVE:
        because = f", since {options.runtime_because}" if options.runtime_because else ""
        return f"runtime native{because}" if brief else f"runtime native: the work is done in this environment{because}"
    image = f"runtime docker: image {options.image_reference}"
    if brief:
        return image
    try:
        clients = f"{engine.docker()}, {' '.join(engine.compose())}"
    except CannotStart as error:
        return f"runtime docker: {error.problem}"
    return f"{image}, engine {engine.endpoint() or 'unknown'} by {clients}"


def _new_folder(results: Path, machine: Machine) -> Path:
    """Make the run's own folder. Raises CannotStart where it cannot be written."""
    host = re.sub(r"[^A-Za-z0-9.-]+", "-", machine.hostname).strip("-.")[:40] or "machine"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(1, 100):
        folder = results / (f"{stamp}-{host}" if number == 1 else f"{stamp}-{host}-{number}")
        try:
            results.mkdir(parents=True, exist_ok=True)
            folder.mkdir(RUN_FOLDER)
            (folder / "logs").mkdir(PRIVATE_FOLDER)
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
    raise CannotStart(f"{results} already has 99 runs of this second.", "Try again.")
