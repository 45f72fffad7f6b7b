"""Consistency: a run is shown, signed and verified only as what its record proves.

Its run.json must be what the record gives; the record must contradict neither itself, nor the clock, nor the suite that
made it. A forger with time can invent a record that passes: a signature says who vouches for it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dgxcert import report
from dgxcert.certificate import bounds, origin
from dgxcert.certificate.refusal import BY_SIGN, Refused
from dgxcert.certificate.statement import Extension, Statement, make
from dgxcert.judgement.requirement import OWN
from dgxcert.judgement.verdict import Ending, Verdict, count, judge
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import chain, clock, contradictions, journal, run_folders
from dgxcert.record import run as runs
from dgxcert.record.journal import Event
from dgxcert.record.run import Run
from dgxcert.record.state import RunState
from dgxcert.redaction import models

AGAIN = "Validate the machine again: dgxcert validate"
LATER = {"format", "notes", "measured", "earlier", "limits", "starting_s"}
"""What another version of dgxcert may write differently from the same record."""
ALONE = f"{journal.NAME} is missing, so that this is what {runs.NAME} says, not checked against its record"
OTHER = "it was made by another suite, so that its plan and profile were not compared with those of that suite"
SHOWN = 5
LONGEST = 100
"""Characters of a field that are shown where it is wrong."""


class Contradiction(CannotStart):
    """A run is not what its record, the clock or its suite say."""


@dataclass(frozen=True)
class Loaded:
    """A run that nothing beside it contradicts, and what could not be checked."""

    run: Run
    unchecked: str


@dataclass(frozen=True)
class Covered:
    """What a statement covers, as it was read once and hashed: the run and its record, and the digests of all files."""

    folder: Path
    run: bytes
    record: bytes
    digests: dict[str, str]


@dataclass(frozen=True)
class Truth:
    """What the evidence of a statement gives: its sentence, rebuilt, and what could not be checked."""

    says: str
    unchecked: str


def load(folder: Path, now: datetime) -> Loaded:
    """The run of a folder. Raises CannotStart, with each reason, where it is not what its record proves."""
    if folder.is_file():
        raise CannotStart(
            f"{folder} is a file, not a run folder.",
            f"Name the folder, {folder.parent}; a certificate is verified by `dgxcert verify {folder}`.",
        )
    run = runs.load(folder)
    if not (folder / journal.NAME).exists():
        _refuse(folder, of_run(run, now))
        return Loaded(run, ALONE)
    return _judged_by(run, journal.read(folder), folder, now)


def _judged_by(run: Run, events: list[Event], folder: Path, now: datetime) -> Loaded:
    """The run, if it is what these events give. Raises CannotStart with each reason where it is not."""
    ours = origin.is_ours(run.suite)
    _refuse(folder, _differences(run, runs.assemble(events, run.name), ours=ours) or of_record(events, now, ours=ours))
    return Loaded(run, "" if ours else OTHER)


def require_signable(folder: Path, now: datetime) -> tuple[Run, str | None]:
    """The run of a folder that is to be signed, and the last hash of its record.

    Raises CannotStart as `load` does, and where its clock was set.
    """
    loaded = load(folder, now)
    content = journal.content_of(folder)
    if problem := clock.problem(journal.read_content(content, folder / journal.NAME)):
        _refuse(folder, [problem])
    if loaded.run.judgement.verdict is Verdict.CERTIFIED and loaded.unchecked:
        raise origin.another_suite(loaded.run.suite)
    return loaded.run, chain.last_hash(content)


def require_unsigned(folder: Path) -> None:
    """Raise CannotStart where a run is signed: its reports must stay as they are, byte for byte."""
    if signed := run_folders.signed_file(folder):
        raise CannotStart(
            f"{folder} is signed ({signed.name}), and the signature covers its reports.",
            f"Open {folder / 'report.html'}; to make them again, do so in a copy of the folder without {signed.name}.",
        )


def require_true(statement: Statement, covered: Covered, now: datetime) -> Truth:
    """Rebuild a statement from the run that it covers, and compare the two. Raises Refused where they differ.

    Raises CannotStart where the run was made by a version that this one cannot read.
    """
    signed, folder = statement.extension, covered.folder
    try:
        run = runs.load_content(covered.run, folder / runs.NAME)
        events = journal.read_content(covered.record, folder / journal.NAME)
        loaded = _judged_by(run, events, folder, now)
        problem = clock.problem(events)
    except Contradiction as error:
        raise Refused(error.problem, *error.remedy) from error
    except CannotStart as error:
        if signed.suite_sha256 == origin.ours().sha256:
            raise Refused(error.problem, *error.remedy) from error
        raise CannotStart(
            f"Its run was made by another version of dgxcert ({signed.suite_version}) and cannot be checked here: "
            f"{error.problem}",
            f"Verify it with that version: git checkout {signed.suite_commit or 'COMMIT'}",
        ) from error
    rebuilt = make(run, covered.digests, signed.issued, bounds.MOST_DAYS, chain.last_hash(covered.record))
    found = [problem] if problem else []
    found += _wrong_times(statement, run)
    found += _not_of_its_run(statement, rebuilt, _may_differ(loaded, run, signed))
    if not loaded.unchecked:  # another version may word a report differently
        found += _other_reports(run, covered.digests)
    if found:
        raise Refused("; ".join(found[:SHOWN]), BY_SIGN)
    return Truth(rebuilt.extension.says, loaded.unchecked)


def _wrong_times(statement: Statement, run: Run) -> list[str]:
    """How the dates of a statement contradict those of its run, apart from what is compared field by field."""
    signed = statement.extension
    started, ended = datetime.fromisoformat(run.started), datetime.fromisoformat(run.ended)
    found = []
    if signed.issued < ended - bounds.CLOCK:
        found.append(f"it was issued on {clock.minute(signed.issued)}, before its run ended on {clock.minute(ended)}")
    if run.measured is None and not started <= signed.measured <= ended:
        found.append(f"its measured is {clock.minute(signed.measured)}, outside its run")
    return found


def _other_reports(run: Run, digests: dict[str, str]) -> list[str]:
    """The reports that say something else than the run, of those that need no library to be made."""
    # Not without the secrets that only this process knows: by chance one could be a word of somebody else's run.
    made = report.plain(models.scrubbed(run, anywhere=True))
    return [
        f"{name}, which it covers, is not what its run gives"
        for name, text in made.items()
        if name in digests and digests[name] != hashlib.sha256(text.encode()).hexdigest()
    ]


def _may_differ(loaded: Loaded, run: Run, signed: Extension) -> set[str]:
    """The fields of a statement that may be other than what this version makes of the same run."""
    fields = {"issued", "expires"}  # they are the signer's, and `statement_check` bounds them
    if run.measured is None:
        fields.add("measured")  # as up to dgxcert 0.1.0
    if loaded.unchecked:
        fields |= {"says", "weights", "configuration"}  # words, which versions choose
    if signed.record_hash is None:
        fields.add("record_hash")  # as up to dgxcert 0.1.0
    if signed.limits is None:
        fields.add("limits")  # as up to dgxcert 0.1.0
        fields.add("says")  # which counts them
    return fields


def _not_of_its_run(statement: Statement, rebuilt: Statement, may_differ: set[str]) -> list[str]:
    """A sentence for each field of a statement that its run does not give."""
    said, given = _fields(statement), _fields(rebuilt)
    return [
        f"its {name} is {_short(said[name])}, in its run it is {_short(given[name])}"
        for name in given
        if name not in may_differ and said[name] != given[name]
    ]


def _fields(statement: Statement) -> dict[str, Any]:
    """The fields of a statement by their names, those of machine and software one by one."""
    predicate = statement.model_dump(mode="json")["predicate"]
    extension = predicate.pop("dgxcert")
    parts = {name: extension.pop(name) for name in ("machine", "software")}
    inner = {f"{part}.{name}": value for part, fields in parts.items() for name, value in fields.items()}
    return {**extension, **inner, **predicate}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


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
            own=result.group == OWN,
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
