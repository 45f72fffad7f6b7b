"""Consistency: a run is shown, signed and verified only as what its record proves.

Its run.json must be what the record gives; the record must contradict neither itself, nor the clock, nor the suite that
made it. A forger with time can invent a record that passes: a signature says who vouches for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dgxcert.certificate import origin
from dgxcert.certificate.ssh_signature import Refused
from dgxcert.certificate.statement import Statement
from dgxcert.judgement.verdict import Ending, Verdict, count, judge
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import clock, contradictions, journal
from dgxcert.record import run as runs
from dgxcert.record.journal import Event
from dgxcert.record.run import Run
from dgxcert.record.state import RunState

AGAIN = "Validate the machine again: dgxcert validate"
LATER = {"format", "notes", "measured", "earlier", "limits"}
"""What another version of dgxcert may write differently from the same record."""
ALONE = f"{journal.NAME} is missing, so that this is what {runs.NAME} says, not checked against its record"
OTHER = "it was made by another suite, so that its plan and profile were not compared with those of that suite"
SHOWN = 5


class Contradiction(CannotStart):
    """A run is not what its record, the clock or its suite say."""


@dataclass(frozen=True)
class Loaded:
    """A run that nothing beside it contradicts, and what could not be checked."""

    run: Run
    unchecked: str


def load(folder: Path, now: datetime) -> Loaded:
    """The run of a folder. Raises CannotStart, with each reason, where it is not what its record proves."""
    run = runs.load(folder)
    if not (folder / journal.NAME).exists():
        _refuse(folder, of_run(run, now))
        return Loaded(run, ALONE)
    events = journal.read(folder)
    ours = origin.is_ours(run.suite)
    _refuse(folder, _differences(run, runs.assemble(events, run.name), ours=ours) or of_record(events, now, ours=ours))
    return Loaded(run, "" if ours else OTHER)


def require_signable(folder: Path, now: datetime) -> Run:
    """The run of a folder that is to be signed. Raises CannotStart as `load` does, and where its clock was set."""
    loaded = load(folder, now)
    if problem := clock.problem(journal.read(folder)):
        _refuse(folder, [problem])
    if loaded.run.judgement.verdict is Verdict.CERTIFIED and loaded.unchecked:
        raise origin.another_suite(loaded.run.suite)
    return loaded.run


def require_unsigned(folder: Path) -> None:
    """Raise CannotStart where a run is signed: its reports must stay as they are, byte for byte."""
    for name in runs.SIGNED:
        if (folder / name).exists():
            raise CannotStart(
                f"{folder} is signed ({name}), and the signature covers its reports.",
                f"Open {folder / 'report.html'}; to make them again, do so in a copy of the folder without {name}.",
            )


def require_true(statement: Statement, folder: Path, now: datetime) -> str:
    """Check the run that a statement covers; returns what could not be checked. Raises Refused.

    The folder's files must be those that the statement covers.
    """
    signed = statement.extension
    try:
        loaded = load(folder, now)
        problem = clock.problem(journal.read(folder))
    except Contradiction as error:
        raise Refused(error.problem, *error.remedy) from error
    except CannotStart as error:
        if signed.suite_sha256 == origin.ours().sha256:
            raise Refused(error.problem, *error.remedy) from error
        return f"its run was made by another version and cannot be read: {error.problem}"
    run = loaded.run
    measured = (
        datetime.fromisoformat(run.measured) if run.measured else signed.measured
    )  # an older one has no such field
    found = [problem] if problem else []
    pairs = {
        "verdict": (signed.verdict, run.judgement.verdict),
        "counts": (signed.counts, run.judgement.counts),
        "run": (signed.run, run.name),
        "profile_sha256": (signed.profile_sha256, run.profile_sha256),
        "suite_sha256": (signed.suite_sha256, run.suite.sha256),
        "measured": (signed.measured, measured),
        "hostname": (signed.machine.hostname, run.machine.hostname),
        "serial": (signed.machine.serial, run.machine.serial),
        "gpus": (signed.machine.gpus, run.machine.gpus),
    }
    found += [
        f"its {name} is {said}, in its run it is {given}" for name, (said, given) in pairs.items() if said != given
    ]
    if found:
        raise Refused("; ".join(found[:SHOWN]), "Ask for a signature by `dgxcert sign`.")
    return loaded.unchecked


def of_record(events: Sequence[Event], now: datetime, *, ours: bool) -> list[str]:
    """What a record says that cannot be."""
    opened = events[0]
    if not isinstance(opened, journal.Opened):
        raise TypeError("the first event of a record must be Opened")
    future = clock.in_future(events, now)
    return [
        *([future] if future else []),
        *(origin.problems(opened, RunState(events).image) if ours else []),
        *contradictions.find(events),
    ]


def of_run(run: Run, now: datetime) -> list[str]:
    """What a run.json without its record says that cannot be."""
    ended = datetime.fromisoformat(run.ended)
    found = []
    if ended > now + clock.TOLERANCE:
        found.append(f"it was measured in the future: at {clock.minute(ended)}, and here it is {clock.minute(now)}")
    found += contradictions.of_results(run.results, run.profile)
    if count(result.outcome for result in run.results) != run.judgement.counts:
        found.append("its counts are not those of its results")
    possible = {_judged(run, certifies=certifies) for certifies in (True, False)}
    if run.judgement.verdict not in possible or run.judgement.exit_code != run.judgement.verdict.exit_code:
        found.append(f"its verdict is {run.judgement.verdict.value}, which its results do not give")
    return found


def _judged(run: Run, *, certifies: bool) -> Verdict:
    proven = run.image is not None and run.image.proven and run.suite.modified is False and run.profile.certifies
    endings = [
        Ending(
            result.outcome,
            excluded=result.outcome is Outcome.NOT_APPLICABLE,
            deselected=not result.wanted,
            waived=result.waiver is not None,
        )
        for result in run.results
    ]
    return judge(endings, certifies=certifies and proven, whole=run.options.whole)


def _differences(run: Run, rebuilt: Run, *, ours: bool) -> list[str]:
    names = [name for name in Run.model_fields if getattr(rebuilt, name) != getattr(run, name)]
    if not ours and LATER.issuperset(names):
        return []
    if not names:
        return []
    said, is_ = run.judgement.verdict.value, rebuilt.judgement.verdict.value
    verdicts = f" (the record gives {is_}, not {said})" if said != is_ else ""
    return [f"{runs.NAME} does not match {journal.NAME}: they differ in {', '.join(names)}{verdicts}"]


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise Contradiction(f"{folder} contradicts itself: {'; '.join(problems[:SHOWN])}{more}.", AGAIN)
