"""What `dgxcert show --json` prints: a run as CI and a lab's inventory want it; run.json has the rest."""

from collections.abc import Iterable
from pathlib import Path

from dgxcert.cli.json_output import figure
from dgxcert.cli.json_output.document import Document, Part
from dgxcert.cli.json_output.figure import Figure
from dgxcert.judgement.evidence import Comparison, Evidence, Value
from dgxcert.judgement.spending import Spent
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Outcome
from dgxcert.plan.options import WORKING, Options
from dgxcert.plan.suite import Suite
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import figures, run_folders
from dgxcert.record.run import EarlierAttempt, Result, Run
from dgxcert.report import words


class Compared(Part):
    """A measured quantity and what it was compared with."""

    name: str
    measured: Value
    sign: str
    required: Value
    unit: str
    holds: bool
    limit: str | None
    """The name of the profile's limit; None where it was compared with something else."""
    basis: str | None
    """Where the limit comes from: measured, published or derived."""
    source: str


class Attempt(Part):
    """An earlier attempt, which does not count."""

    outcome: Outcome
    reason: str


class Problem(Part):
    """A requirement that did not pass, waived or not."""

    key: str
    id: str
    group: str
    title: str
    outcome: Outcome
    reason: str
    compared: tuple[Compared, ...]
    """What violates its limit; where nothing does, all that was compared."""
    remedy: tuple[str, ...]
    log: str | None
    """The log of its process, in the run folder."""
    waiver: Waiver | None
    """Who accepts that it did not pass."""


class Ended(Part):
    """How one requirement ended, in short."""

    key: str
    group: str
    outcome: Outcome
    reason: str
    """The first line of it; empty for a pass."""
    name: str | None
    """The quantity that it is about."""
    value: Value | None
    unit: str | None
    duration_s: float | None
    spent: dict[Spent, float]
    """Seconds of it by what they were spent on."""
    earlier_attempts: tuple[Attempt, ...]


class Image(Part):
    """The image that the work was done in."""

    reference: str
    id: str
    base: str
    base_digest: str
    stack: str
    proven: bool


class ProfileUsed(Part):
    """The profile, and whether it can certify."""

    name: str
    machine: str
    certifies: bool
    sha256: str
    site: str | None
    """The site profile that tightened it, in one line."""


class ShownRun(Document):
    """A run."""

    id: str
    name: str
    folder: str
    started: str
    ended: str
    verdict: Verdict
    exit_code: int
    """That of the run, which is the command's too."""
    says: str
    """The verdict, the basis of its limits and what it means, in one line."""
    counts: dict[str, int]
    limits: dict[str, int] | None
    """Limits that results were compared with, by basis; None where the profile states none."""
    machine: Machine
    profile: ProfileUsed
    options: Options
    suite: Suite
    image: Image | None
    packages: dict[str, str | None]
    """Versions of what the work was done with."""
    figures: tuple[Figure, ...]
    problems: tuple[Problem, ...]
    """What did not pass, failures first; those with a waiver last."""
    results: tuple[Ended, ...]
    waivers: tuple[Waiver, ...]
    """Every waiver of this machine, used or not."""
    notes: tuple[str, ...]
    unchecked: str
    """What could not be checked of the run itself."""
    signed: str | None
    """The signed file in its folder, which `dgxcert verify` judges; None where there is none."""


def of(run: Run, folder: Path, unchecked: str) -> ShownRun:
    """The document of a run in a folder."""
    return ShownRun(
        id=run.id,
        name=run.name,
        folder=str(folder),
        started=run.started,
        ended=run.ended,
        verdict=run.judgement.verdict,
        exit_code=run.judgement.exit_code,
        says=f"{words.verdict_with_basis(run)}: {words.meaning(run)}",
        counts=run.judgement.counts,
        limits=run.limits,
        machine=run.machine,
        profile=_profile(run),
        options=run.options,
        suite=run.suite,
        image=_image(run),
        packages=next((run.software[stage].packages for stage in WORKING if stage in run.software), {}),
        figures=tuple(map(figure.of, figures.figures(run))),
        problems=tuple(_problem(result, run.profile) for result in (*words.open_results(run), *run.waived)),
        results=tuple(map(_ended, run.results)),
        waivers=run.waivers,
        notes=run.notes,
        unchecked=unchecked,
        signed=signed.name if (signed := run_folders.signed_file(folder)) else None,
    )


def _profile(run: Run) -> ProfileUsed:
    profile = run.profile
    return ProfileUsed(
        name=profile.name,
        machine=profile.machine,
        certifies=profile.certifies,
        sha256=run.profile_sha256,
        site=profile.site.description if profile.site else None,
    )


def _image(run: Run) -> Image | None:
    if run.image is None:
        return None
    return Image(**{name: getattr(run.image, name) for name in Image.model_fields})


def _problem(result: Result, profile: Profile) -> Problem:
    shared = ("key", "id", "group", "title", "outcome", "reason", "remedy", "log", "waiver")
    return Problem(
        **{name: getattr(result, name) for name in shared},
        compared=tuple(_compared(item, comparison, profile) for item, comparison in _telling(result.evidence)),
    )


def _telling(evidence: Iterable[Evidence]) -> list[tuple[Evidence, Comparison]]:
    """The comparisons that do not hold, or all where every one holds."""
    pairs = [(item, comparison) for item in evidence for comparison in item.held_against]
    return [pair for pair in pairs if not pair[1].holds] or pairs


def _compared(item: Evidence, comparison: Comparison, profile: Profile) -> Compared:
    limit = profile.limits.get(comparison.limit or "")
    return Compared(
        name=item.name,
        measured=comparison.measured,
        sign=comparison.sign,
        required=comparison.value,
        unit=comparison.unit,
        holds=comparison.holds,
        limit=comparison.limit,
        basis=limit.basis.value if limit and limit.basis else None,
        source=comparison.source,
    )


def _ended(result: Result) -> Ended:
    about = next(iter(words.about(result.evidence)), None)
    return Ended(
        key=result.key,
        group=result.group,
        outcome=result.outcome,
        reason=result.reason.partition("\n")[0],
        name=about.name if about else None,
        value=about.value if about else None,
        unit=about.unit if about else None,
        duration_s=result.duration_s,
        spent=result.spent,
        earlier_attempts=tuple(map(_attempt, result.earlier_attempts)),
    )


def _attempt(earlier: EarlierAttempt) -> Attempt:
    return Attempt(outcome=earlier.outcome, reason=earlier.reason.partition("\n")[0])
