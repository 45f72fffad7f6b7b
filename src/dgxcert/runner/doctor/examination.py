"""The examination: what keeps a run from starting, or will reject the machine, within `LIMIT_S` whatever hangs.

The requirements of the host stage say it themselves, and those of the Hub, in processes side by side, one for each part
of a machine that can hang: no fact is read in a second way. What has not ended in time is not known. A process is told
what to do as in a run (`runner.channel`), and what it says goes into no record.
"""

import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath

from dgxcert import command
from dgxcert.judgement.requirement import Stage
from dgxcert.machine import trait
from dgxcert.machine.identity import Machine
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import selection, suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles.profile import Profile
from dgxcert.runner import session
from dgxcert.runner.doctor import findings, preparation
from dgxcert.runner.doctor.child import Child
from dgxcert.runner.doctor.findings import Effect, Examination, Finding
from dgxcert.runner.doctor.later import Later
from dgxcert.runner.doctor.preparation import Answer

LIMIT_S = 11.0
"""For all of it; the rest of 15 s is for Python's start, and for killing what hangs."""
MACHINE_S = 5.0
"""For the driver to say which machine this is: without an answer the fallback profile is examined."""
LONGEST_S, OF_PACKAGES_S = 6.0, 1.0
"""What a healthy machine may need for a requirement that is asked here, and for one about packages."""
POLL_S = 0.02

HUB, ENGINE, DRIVER, MACHINE, PACKAGES = "hub", "engine", "driver", "machine", "packages"
"""The parts of a machine that are examined side by side: what hangs in one leaves the others their time."""
PART_OF_FILE = {
    "test_engine.py": ENGINE,
    "test_driver.py": DRIVER,
    "test_processes.py": DRIVER,
    "test_packages.py": PACKAGES,
}
ENGINE_ANSWERS = "DOCKER-REACHABLE"


def examine(options: Options) -> Examination:
    """Examine this machine for a run with these options. Raises CannotStart where the suite cannot be collected."""
    begun = time.monotonic()
    with ExitStack() as ends:
        ends.callback(command.kill_below)  # what still hangs
        catalogue = Later(lambda: suite.collect(suite.root(), 1))
        machine, found = _machine()
        profile = session.choose_profile(options.profile, machine)
        planned = _planned(catalogue, profile, options, profile.gpus_in(machine), begun + LIMIT_S)
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="dgxcert-doctor-")))
        children = ends.enter_context(_children(planned, options, profile, machine, folder))
        sentence, prepared = _heard(children, options, begun + LIMIT_S)
        found += [*prepared, preparation.clock(datetime.now())]
        found += _told(children, profile, machine, options)
    found = findings.folded(found)
    return Examination(
        profile=profile.name,
        runtime=options.runtime.value,
        image=sentence,
        findings=tuple(found),
        seconds=round(time.monotonic() - begun, 1),
        exit_code=findings.exit_code(found),
    )


def part_of(entry: Planned) -> str:
    """The part of a machine that a requirement is about, by the file of its check."""
    file = PurePosixPath(entry.nodeid.partition("::")[0]).name
    groups = {"hub": HUB, "gpu": DRIVER, "links": DRIVER}
    return PART_OF_FILE.get(file) or groups.get(entry.group, MACHINE)


def _planned(
    catalogue: Later[list[Entry]], profile: Profile, options: Options, gpus: int, deadline: float
) -> list[Planned]:
    """What is asked: the host stage, the Hub, and outside the container the quick checks of packages."""
    try:
        entries = catalogue.result(deadline - time.monotonic())
    except TimeoutError:
        raise CannotStart("the suite could not be read in time: this machine is very busy.", "Try again.") from None
    asked = [entry for entry in selection.make(entries, profile, options, gpus) if entry.runs]
    return [entry for entry in asked if _is_asked(entry, options)]


def _is_asked(entry: Planned, options: Options) -> bool:
    if entry.group == HUB:
        return not entry.real_weights and entry.takes_s <= LONGEST_S
    if part_of(entry) == PACKAGES:
        return options.runtime is Runtime.NATIVE and entry.takes_s <= OF_PACKAGES_S
    return entry.stage is Stage.HOST and entry.takes_s <= LONGEST_S


def _machine() -> tuple[Machine, list[Finding]]:
    """This machine, without what the driver does not say in time."""
    try:
        return session.read_machine(MACHINE_S), []
    except CannotStart as error:
        system = os.uname()
        title = "The driver answers"
        hangs = Finding(name="machine", title=title, effect=Effect.STOPS, problem=error.problem, remedy=error.remedy)
        bare = Machine(
            hostname=system.nodename, kernel=system.release, architecture=platform.machine(), cores=os.cpu_count() or 1
        )
        return bare, [hangs]


@contextmanager
def _children(
    planned: list[Planned], options: Options, profile: Profile, machine: Machine, inside: Path
) -> Iterator[dict[str, Child]]:
    """A child for each part, the engine's first: its answer is waited for."""
    parts = sorted({part_of(entry) for entry in planned}, key=lambda part: (part != ENGINE, part))
    children: dict[str, Child] = {}
    try:
        for number, part in enumerate(parts, start=1):
            mine = [entry for entry in planned if part_of(entry) == part]
            children[part] = Child(number, mine, options, profile, machine, inside / part)
        yield children
    finally:
        for child in children.values():
            child.end()


def _heard(children: Mapping[str, Child], options: Options, deadline: float) -> tuple[str, list[Finding]]:
    """Hear the children to their end, and look at clients and image beside them; what is said of these two."""
    in_container = options.runtime is Runtime.DOCKER
    clients = Later(preparation.clients) if in_container else None
    image: Later[Answer] | None = None
    while time.monotonic() < deadline and not all(child.done for child in children.values()):
        for child in children.values():
            child.hear(POLL_S)
        if in_container and image is None and _engine_answers(children):
            image = Later(lambda: preparation.image(options))
    found = []
    try:
        found += [clients.result(deadline - time.monotonic())] if clients else []
        answer = image.result(deadline - time.monotonic()) if image else Answer("", [])
    except CannotStart as error:
        answer = Answer("", [preparation.no_image(error.problem, *error.remedy)])
    except TimeoutError:
        answer = Answer("", [preparation.no_image("the engine did not tell in time", "Run: docker image ls")])
    return answer.sentence, [*found, *answer.findings]


def _engine_answers(children: Mapping[str, Child]) -> bool:
    ending = children[ENGINE].endings.get(ENGINE_ANSWERS) if ENGINE in children else None
    return ending is not None and ending.outcome is Outcome.PASSED


def _told(children: Mapping[str, Child], profile: Profile, machine: Machine, options: Options) -> list[Finding]:
    """A finding of each requirement that was asked, ended or not."""
    in_container = options.runtime is Runtime.DOCKER
    traits = trait.of(machine, memory=profile.gpu.memory, in_container=in_container)

    def applicable(steps: tuple[str, ...]) -> tuple[str, ...]:
        return trait.applicable(steps, traits)

    found: list[Finding] = []
    for child in children.values():
        first = ""
        for entry in child.planned:
            ending = child.endings.get(entry.key)
            if ending is not None:
                finding = findings.of_ending(entry, ending, applicable, gates=in_container)
            else:
                finding = findings.late(entry, _why(child, entry.key), first, applicable, gates=in_container)
            first = first or (finding.name if finding.effect is not Effect.NONE else "")
            found.append(finding)
    return found


def _why(child: Child, key: str) -> str:
    """Why a requirement has no ending."""
    if child.problem:
        return child.problem
    if child.current == key:
        return f"it did not end within the {LIMIT_S:g} s of doctor"
    return f"{child.current} did not end before it" if child.current else "its process did not reach it in time"
