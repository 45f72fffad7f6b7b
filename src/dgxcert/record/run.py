"""A run: everything about one validation of one machine, as `run.json` keeps it. Rebuilt from the record alone."""

import hashlib
import shlex
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement import basis_count
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.requirement import OWN, Tier
from dgxcert.judgement.spending import Spent
from dgxcert.judgement.verdict import Ending, Verdict, count, judge
from dgxcert.machine import trait
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.machine.runtime import Runtime
from dgxcert.machine.software import Software
from dgxcert.machine.trace import Trace
from dgxcert.outcome import UNEXPLAINED, CannotStart, Outcome
from dgxcert.plan.options import Options
from dgxcert.plan.own_checks import OwnChecks
from dgxcert.plan.selection import Planned, any_gpu
from dgxcert.plan.spelling import spelled
from dgxcert.plan.suite import Suite
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import clock, economy, journal
from dgxcert.record.history_line import Earlier
from dgxcert.record.journal import (
    ChildStarted,
    Event,
    Finished,
    Interrupted,
    Opened,
    Refused,
    Resumed,
    SoftwareRead,
    StageEnded,
    Started,
)
from dgxcert.record.state import Attempt, RunState

NAME = "run.json"
AT_MOST = 64 * MIB
"""The largest run.json that is read: one of 10,000 requirements has 12 MiB."""
SHOWN = 200
"""Characters of a problem with a run.json that are shown."""
SIGNED = ("certificate.json", "signed-report.json")
"""The signed files of a run folder: where one is, no covered file may change any more."""
ID_CHARS = 8
"""Hexadecimal digits of a run's id."""
MEASURED = (Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE)
"""The outcomes of what was measured."""


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""A date and time in ISO 8601."""


class Part(BaseModel):
    """A part of run.json, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EarlierAttempt(Part):
    """One earlier attempt to measure a requirement."""

    outcome: Outcome
    """Inconclusive; or what a check after the work found, before work was measured again."""
    reason: str
    started: str | None
    duration_s: float
    log: str | None
    repeats: int
    """How many repeats its ending allowed the run by itself."""
    evidence: tuple[Evidence, ...]


class Result(Part):
    """One requirement and how it ended."""

    key: str
    id: str
    group: str
    title: str
    why: str
    tier: Tier
    wanted: bool
    """Whether this run was meant to measure it."""
    stage: str | None
    outcome: Outcome
    reason: str
    remedy: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    started: str | None
    duration_s: float | None
    spent: dict[Spent, float] = Field(default_factory=dict)
    """Seconds of `duration_s` by what they were spent on; the rest is what nothing names. Empty in older runs."""
    log: str | None
    traces: tuple[Trace, ...] = ()
    waiver: Waiver | None = None
    """The waiver that accepts that it did not pass; None where it passed or was never measured."""
    earlier_attempts: tuple[EarlierAttempt, ...] = ()
    """What was measured of it before, oldest first, and does not count: see `record.state.RunState`."""

    @property
    def attempts(self) -> int:
        """How often it was measured; 0 where it never was."""
        return len(self.earlier_attempts) + (self.outcome in MEASURED)

    @property
    def label(self) -> str:
        """Its outcome as text for people: `failed, waived`."""
        return f"{self.outcome.label}, waived" if self.waiver else self.outcome.label


class Judgement(Part):
    """The verdict with its exit code and the five counts."""

    verdict: Verdict
    exit_code: int
    counts: dict[str, Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _fits(self) -> "Judgement":
        if self.exit_code != self.verdict.exit_code:
            raise ValueError(f"exit_code: {self.verdict.value} has {self.verdict.exit_code}, found {self.exit_code}")
        if set(self.counts) != {outcome.value for outcome in Outcome}:
            raise ValueError(f"counts: wanted {', '.join(Outcome)}; found {', '.join(self.counts)[:100]}")
        return self


class Run(Part):
    """The whole of run.json."""

    format: Literal[3] = 3
    name: str
    suite: Suite
    started: Moment
    measured: Moment | None = None
    """When its first measurement began; None where nothing was measured."""
    ended: Moment
    options: Options
    own: OwnChecks | None = None
    """The lab's own checks that this run measured with; their requirements are in the group `own`."""
    profile: Profile
    profile_sha256: str
    machine: Machine
    image: Image | None
    """The container image that the work was done in; None for a native run, which certifies nothing."""
    software: dict[str, Software]
    judgement: Judgement
    limits: dict[str, int] | None = None
    """The profile's limits that results were compared with, by basis; None where the profile states no basis."""
    notes: tuple[str, ...]
    waivers: tuple[Waiver, ...]
    """All waivers of this machine, used or not."""
    results: tuple[Result, ...]
    starting_s: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage that its processes took to start, each until its first requirement."""
    earlier: tuple[Earlier, ...]
    """Earlier runs of this machine, oldest first, as they were when this one began."""

    @property
    def waived(self) -> list[Result]:
        """The results that did not pass and are waived."""
        return [result for result in self.results if result.waiver]

    @property
    def id(self) -> str:
        """What people call the run by: see `short_id`."""
        return short_id(self.started, self.machine)


def short_id(started: str, machine: Machine) -> str:
    """The id of a run, which its first event decides: a copy, a resumed and a redacted run keep it.

    Two of 2,000 runs share one with a probability of 1 in 2,000.

    >>> short_id("2026-11-23T18:40:12.000Z", Machine(hostname="spark-07", kernel="6", architecture="aarch64", cores=20))
    'ca4cac90'
    """
    made_of = (started, machine.boot_id or "", *sorted(gpu.uuid for gpu in machine.gpus))
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:ID_CHARS]


def assemble(events: list[Event], name: str) -> Run:
    """Rebuild a run from its record. Pure. Raises TypeError where the record does not begin with Opened."""
    opened = events[0]
    if not isinstance(opened, Opened):
        raise TypeError("the first event of a record must be Opened")
    with economy.uncollected():
        return _assembled(events, opened, name)


def _assembled(events: list[Event], opened: Opened, name: str) -> Run:
    state = RunState(events)
    logs = {(event.stage, event.number): event.log for event in events if isinstance(event, ChildStarted)}
    problems = {event.stage: event.problem for event in events if isinstance(event, StageEnded)}
    applicable = _steps(opened)
    results = tuple(
        _result(entry, state, logs, _never_started(entry, opened, problems), opened.waivers, applicable)
        for entry in opened.plan
    )
    broken = _broken(events)
    return Run(
        name=name,
        suite=opened.suite,
        started=opened.at,
        measured=clock.first_measurement(events),
        ended=events[-1].at,
        options=opened.options,
        own=opened.own,
        profile=opened.profile,
        profile_sha256=opened.profile.sha256,
        machine=opened.machine,
        image=state.image,
        software={event.stage: event.software for event in events if isinstance(event, SoftwareRead)},
        judgement=_judgement(opened, results, state.image, at_once=not broken),
        limits=basis_count.count(
            opened.profile.limits, (item for result in results if result.group != OWN for item in result.evidence)
        ),
        notes=tuple(
            spelled(note, installed=opened.suite.installed)
            for note in (*_notes(events, opened, state, broken), *_varied(results))
        ),
        waivers=opened.waivers,
        results=results,
        starting_s=clock.starting(events),
        earlier=opened.earlier,
    )


def load(folder: Path) -> Run:
    """Read run.json. Raises CannotStart where it is missing or not valid."""
    return load_hashed(folder)[0]


def load_hashed(folder: Path) -> tuple[Run, str]:
    """The run in run.json, and the SHA-256 of that file in hexadecimal. Raises as `load` does."""
    path = folder / NAME
    try:
        content = untrusted.read_bytes(path, AT_MOST)
    except OSError as error:
        resume = f"Continue it: dgxcert validate --resume {shlex.quote(str(folder))}"
        way_on = resume if (folder / journal.NAME).is_file() else "Name a run folder, which `dgxcert history` lists."
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", way_on) from error
    return load_content(content, path), hashlib.sha256(content).hexdigest()


def load_content(content: bytes, path: Path) -> Run:
    """The run in the bytes of a run.json; `path` is where they were read. Raises CannotStart where it is not valid."""
    try:
        return Run.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        said = (".".join(map(str, first["loc"])), first["msg"])
        what = ": ".join(untrusted.shown(text)[:SHOWN] for text in said if text)
        raise CannotStart(
            f"{path} is not a run that this dgxcert reads ({what}; problems: {error.error_count()}).",
            "Use the dgxcert version named in the file.",
        ) from error


Logs = dict[tuple[str, int], str]
"""The log of each child process by its stage and number."""


Steps = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Chooses those steps of a remedy that are for this machine and this run, and spells them for where it was made."""


def _result(
    entry: Planned, state: RunState, logs: Logs, never_started: str, waivers: tuple[Waiver, ...], applicable: Steps
) -> Result:
    attempts = state.attempts.get(entry.key, [])
    counts = attempts[-1] if entry.key in state.endings else None
    finished = counts.finished if counts else None
    started = counts.started if counts else state.started.get(entry.key)
    if attempts and counts is None:
        never_started = OUTDATED
    outcome, reason, remedy = _outcome(entry, finished, never_started)
    waived = outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE)
    result = Result(
        key=entry.key,
        id=entry.id,
        group=entry.group,
        title=entry.title,
        why=entry.why,
        tier=entry.tier,
        wanted=entry.runs,
        stage=started.stage if started else None,
        outcome=outcome,
        reason=reason,
        remedy=applicable(remedy),
        evidence=finished.evidence if finished else (),
        started=started.at if started else None,
        duration_s=finished.duration_s if finished else None,
        spent=finished.spent if finished else {},
        log=_log(started, logs),
        traces=finished.traces if finished else (),
        waiver=waiver_for(entry.key, entry.id, waivers) if waived else None,
        earlier_attempts=tuple(_attempt(each, logs) for each in (attempts[:-1] if counts else attempts)),
    )
    economy.share(result)
    return result


def waiver_for(key: str, id: str, waivers: tuple[Waiver, ...]) -> Waiver | None:
    """The waiver of a requirement: the most specific of those that name its key, its key without the GPU, or its id."""
    names = (key, any_gpu(key), id)
    return next((waiver for name in names for waiver in waivers if waiver.requirement == name), None)


def _attempt(made: Attempt, logs: Logs) -> EarlierAttempt:
    kept = made.finished.model_dump(include={"outcome", "reason", "duration_s", "repeats"})
    started = made.started.at if made.started else None
    return EarlierAttempt(**kept, started=started, log=_log(made.started, logs), evidence=made.finished.evidence)


def _log(started: Started | None, logs: Logs) -> str | None:
    return logs.get((started.stage, started.child)) if started else None


def _steps(opened: Opened) -> Steps:
    traits = trait.of(
        opened.machine,
        memory=opened.profile.gpu.memory,
        in_container=opened.options.runtime is Runtime.DOCKER,
    )
    options = opened.options.of_make
    here = opened.suite.installed

    def chosen(steps: tuple[str, ...]) -> tuple[str, ...]:
        applicable = trait.applicable(steps, traits, options) if steps else ()
        return tuple(spelled(step, installed=True) for step in applicable) if here else applicable

    return chosen


def _never_started(entry: Planned, opened: Opened, problems: dict[str, str]) -> str:
    """Why a requirement was never started."""
    stage = opened.options.stage_of(entry)
    problem = problems.get(stage)
    return f"the {stage} stage could not run it: {problem}" if problem else "the run ended before it was measured"


NEVER_STARTED = (
    "Where the run was cut short or something was inconclusive, continue it: make validate RESUME=latest",
    "Where something failed, fix it and start a new run: in this run a failure stays.",
)
OUTDATED = "work was measured again after this check of what it leaves behind, and the run ended before the next check"


def _outcome(entry: Planned, finished: Finished | None, never_started: str) -> tuple[Outcome, str, tuple[str, ...]]:
    if entry.not_applicable:
        return Outcome.NOT_APPLICABLE, entry.not_applicable, ()
    if entry.not_run:
        return Outcome.NOT_RUN, entry.not_run, ()
    if finished is None:
        return Outcome.NOT_RUN, never_started, NEVER_STARTED
    remedy = finished.remedy or (entry.remedy if finished.outcome is Outcome.FAILED else ())
    return finished.outcome, finished.reason, remedy


def _judgement(opened: Opened, results: tuple[Result, ...], used: Image | None, *, at_once: bool) -> Judgement:
    """The verdict; `at_once` says that it was one run by one clock, in one boot."""
    endings = [
        Ending(
            result.outcome,
            excluded=bool(entry.not_applicable),
            deselected=bool(entry.not_run),
            waived=result.waiver is not None,
            own=entry.own,
        )
        for entry, result in zip(opened.plan, results, strict=True)
    ]
    proven = used is not None and used.proven and opened.suite.modified is False and at_once
    verdict = judge(endings, certifies=opened.profile.certifies and proven, whole=opened.options.whole)
    return Judgement(verdict=verdict, exit_code=verdict.exit_code, counts=count(result.outcome for result in results))


def _varied(results: Iterable[Result]) -> list[str]:
    """What passed only after rounds that varied without a cause, as those of a clock that drops in bursts do."""
    keys = [
        result.key
        for result in results
        if result.outcome is Outcome.PASSED
        and any(
            each.outcome is Outcome.INCONCLUSIVE and each.repeats == UNEXPLAINED for each in result.earlier_attempts
        )
    ]
    if not keys:
        return []
    return [f"passed when measured again, after rounds that varied although no other work was seen: {', '.join(keys)}"]


def _notes(events: list[Event], opened: Opened, state: RunState, broken: list[str]) -> list[str]:
    """What a reader of the verdict should know about how the run was made."""
    notes = _environment_notes(events, opened)
    notes.extend(opened.fallen)
    if site := opened.profile.site:
        notes.append(f"limits tightened by {site.description}")
        if site.suite_sha256 != opened.suite.sha256:
            notes.append(f"site profile {site.name} was made by another version of the suite: calibrate again")
    if opened.profile.own:
        notes.append(f"profile {opened.profile.name} is not one that ships with dgxcert, so it certifies nothing")
    used = state.image
    if used is not None and not used.proven:
        notes.append(f"image {used.reference} {used.doubt}, so this run certifies nothing")
    if opened.suite.modified:
        since = "it was installed" if opened.suite.installed else "its last commit"
        notes.append(f"the suite was changed since {since}{_because(opened)}, so this run certifies nothing")
    elif opened.suite.modified is None and opened.profile.certifies:
        since, remedy = ("its commit", "run from a clone, with git installed")
        if opened.suite.installed:
            since, remedy = ("it was released", "install its wheel again")
        notes.append(
            f"it cannot be told whether the suite was changed since {since}{_because(opened)}, so this run "
            f"certifies nothing: {remedy}"
        )
    if opened.profile.certifies and opened.options.runtime is Runtime.NATIVE:
        notes.append("the work was done outside the container, so this run certifies nothing")
    notes.extend(f"{reason}, so this run certifies nothing" for reason in broken if opened.profile.certifies)
    notes.extend(_waived_gates(opened, state.endings))
    seen: set[tuple[str, int, int | None]] = set()
    for event in events:
        if isinstance(event, Interrupted):
            notes.append(f"interrupted by {event.by}" + (f" during {', '.join(event.keys)}" if event.key else ""))
        elif isinstance(event, Resumed):
            notes.append(f"resumed at {event.at}" + (" after the machine was restarted" if event.rebooted else ""))
        elif isinstance(event, StageEnded) and event.problem:
            notes.append(f"stage {event.stage}: {event.problem}")
        elif isinstance(event, Refused):
            notes.append(f"process {event.child} of stage {event.stage} said what it may not: {event.why}")
        elif isinstance(event, ChildStarted):
            if (lane := (event.stage, event.phase, event.gpu)) in seen:
                notes.append(f"stage {event.stage} continued in a fresh process ({event.log})")
            seen.add(lane)
    return notes


def _environment_notes(events: list[Event], opened: Opened) -> list[str]:
    """What beside the suite can change a result: config file, own checks, variables, code that Python starts with."""
    read = [event.software for event in events if isinstance(event, SoftwareRead)]
    startup_code = sorted({path for software in read for path in software.startup_code})
    return [
        *([f"set by {opened.options.config}"] if opened.options.config else []),
        *(each.description for each in (opened.own, opened.profile.lab) if each),
        *(f"{name} was set and is ignored: it could change what the suite runs" for name in opened.ignored_environment),
        *(f"{variable} is set, which can change what is measured" for variable in opened.unusual_environment),
        *(
            f"Python ran {path} at its start, which no installed package owns and which can change any result"
            for path in startup_code
        ),
    ]


def _broken(events: list[Event]) -> list[str]:
    """Why a run was not made at once and undisturbed: its clock was set, its machine restarted, or a process lied."""
    reasons = {
        clock.problem(events): True,
        "the machine was restarted during the run": any(isinstance(each, Resumed) and each.rebooted for each in events),
        "one of its processes said what it may not": any(isinstance(each, Refused) for each in events),
    }
    return [reason for reason, found in reasons.items() if reason and found]


def _waived_gates(opened: Opened, endings: dict[str, Outcome]) -> list[str]:
    """A sentence about each gate that failed and kept nothing behind it from beginning, since it is waived."""
    if opened.options.runtime is Runtime.NATIVE:
        return []  # outside the container, nothing waits for a gate
    failed = [entry for entry in opened.plan if entry.gate and endings.get(entry.key) is Outcome.FAILED]
    found = ((entry.key, waiver_for(entry.key, entry.id, opened.waivers)) for entry in failed)
    return [
        f"gate {key} failed and is waived, so that what needs it began anyway: {waiver.description}"
        for key, waiver in found
        if waiver is not None
    ]


def _because(opened: Opened) -> str:
    return f" ({opened.suite.reason})" if opened.suite.reason else ""
