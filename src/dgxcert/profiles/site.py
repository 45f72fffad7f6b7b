"""Site profile: a shipped profile with limits that a site's own good machines have shown to be too loose.

`dgxcert calibrate RUNS --write site/dgx-spark.yaml` writes the file, `dgxcert validate --site site` uses it:

    tightens: dgx-spark
    profile_sha256: 9c1d…      # of the shipped profile; another version needs another calibration
    suite_sha256: 52aa…        # of the suite that measured the runs
    who: Ada Lovelace
    made: 2026-11-30
    runs:
    - {name: 2026-11-30T09-12-00Z-spark-01, hostname: spark-01, machine: GPU-5b1f…, sha256: 77ab…}
    limits:
      bandwidth.copy:
        reading: [228, 231, 226]
        margin: 0.041
        digits: 3
        unit: GB/s
        basis: measured
        source: 3 runs of 3 good machines

    own:
      own.scratch.free: {min: 500, unit: GiB, basis: derived, source: the data sets of the course}

It holds limits and where they come from, and nothing else. `own` declares limits for a lab's own checks (`--checks`);
it may stand without the rest, which comes from runs. Of the shipped limits a `min` may only be higher than the shipped
one and a `max` only lower. So it can reject a machine that the shipped profile
would certify, and never the other way round.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from dgxcert import near_miss
from dgxcert.files import untrusted, yaml_document
from dgxcert.files.yaml_document import Document
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import CannotStart
from dgxcert.profiles import inheritance, schema_errors
from dgxcert.profiles.day import Day
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.quantity import WrittenLimit
from dgxcert.profiles.site_record import LEAST_RUNS, Lab, OwnName, Sha256, Site, SiteRun, Text, problem
from dgxcert.profiles.workload_sizes import Part


class SiteFile(Part):
    """The content of a site profile's file: limits that it tightens, limits for the lab's own checks, or both."""

    tightens: str
    who: Text
    made: Day
    profile_sha256: Sha256 | None = None
    suite_sha256: Sha256 | None = None
    runs: Annotated[tuple[SiteRun, ...], Field(min_length=LEAST_RUNS)] | None = None
    limits: Annotated[dict[str, WrittenLimit], Field(min_length=1)] | None = None
    own: Annotated[dict[OwnName, WrittenLimit], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "SiteFile":
        of_runs = ("profile_sha256", "suite_sha256", "runs", "limits")
        missing = [name for name in of_runs if getattr(self, name) is None]
        if missing and (self.own is None or len(missing) < len(of_runs)):
            raise ValueError(f"missing key {missing[0]!r}")
        return self


def apply(profile: Profile, file_or_folder: Path) -> Profile:
    """The profile with the limits of a site; of a folder, the file with the profile's name is read.

    Raises CannotStart for a file that is not one, is for another profile or another version of it, or loosens a limit.
    """
    path = file_or_folder / f"{profile.name}.yaml" if file_or_folder.is_dir() else file_or_folder
    if profile.own:
        raise CannotStart(
            f"--site tightens a profile that ships, and {profile.name} is a user's own.",
            "Write the tighter limits into that profile, or leave out --site.",
        )
    text = _read(path)
    document = _document(text, path)
    content = _content(document)
    _require_for(profile, content, path, document)
    about = {"name": path.stem, "sha256": hashlib.sha256(text).hexdigest(), "who": content.who, "made": content.made}
    lab = Lab(**about, limits=own) if (own := _own(content, document)) else None
    if content.limits is None:
        return Profile.model_validate(dict(profile) | {"lab": lab})
    tightened = _tightened(profile, content.limits, path, document, content.who)
    site = Site(
        **about,
        shipped_sha256=profile.sha256,
        shipped={name: profile.limits[name] for name in tightened},
        **{name: getattr(content, name) for name in ("suite_sha256", "runs")},
    )
    return Profile.model_validate(dict(profile) | {"limits": profile.limits | tightened, "site": site, "lab": lab})


def _own(content: SiteFile, document: Document) -> dict[str, Limit]:
    """The limits that a site declares for its own checks. Raises CannotStart for one that is none."""
    declared: dict[str, Limit] = {}
    for name, written in (content.own or {}).items():
        try:
            declared[name] = written.recorded(name)
        except ValidationError as error:
            raise _wrong(document, schema_errors.problems(error, Limit, ("own", name))) from error
    return declared


def tightens(path: Path) -> str | None:
    """The profile that a site profile's file tightens, None where the file is no site profile or cannot be read."""
    try:
        content = _document(_read(path), path).content
    except CannotStart:
        return None  # whoever reads it as a profile says what is wrong with it
    name = content.get("tightens") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None


def _read(path: Path) -> bytes:
    try:
        return untrusted.read_bytes(path, yaml_document.MOST_BYTES, follow=True)
    except OSError as error:
        raise CannotStart(
            f"Site profile {path} cannot be read: {error.strerror}.",
            "Name another with --site, or make it from runs of good machines: "
            f"dgxcert calibrate RUN RUN RUN --write {path}",
        ) from error


def _document(content: bytes, path: Path) -> Document:
    return yaml_document.parse(yaml_document.decoded(content, f"Site profile {path}"), f"Site profile {path}")


def _content(document: Document) -> SiteFile:
    try:
        return SiteFile.model_validate(document.content)
    except ValidationError as error:
        raise _wrong(document, schema_errors.problems(error, SiteFile)) from error


def _require_for(profile: Profile, content: SiteFile, path: Path, document: Document) -> None:
    """Raise CannotStart where the file is for another profile, or not made of as many different runs as it says."""
    if content.tightens != profile.name:
        raise CannotStart(
            f"Site profile {path} tightens {content.tightens}, and this machine is validated by {profile.name}.",
            f"Name another with --site, or add --profile {content.tightens}.",
        )
    if content.profile_sha256 is not None and content.profile_sha256 != profile.sha256:
        raise CannotStart(
            f"Site profile {path} was made for another version of {profile.name} ({content.profile_sha256[:12]}) than "
            f"the one that ships here ({profile.sha256[:12]}).",
            "Calibrate again with runs of this version, or leave out --site.",
        )
    runs = content.runs or ()
    for what, values in (("name", [run.name for run in runs]), ("sha256", [run.sha256 for run in runs])):
        counted = Counter(values)
        if twice := [value for value in values if counted[value] > 1]:
            raise _wrong(document, [f"runs: two of them have the {what} {twice[0]}"])


def _tightened(
    profile: Profile, limits: dict[str, WrittenLimit], path: Path, document: Document, who: str
) -> dict[str, Limit]:
    """The limits of the file, each as tight as the shipped one at both edges, and tighter at one of them."""
    tightened: dict[str, Limit] = {}
    problems: list[str] = []
    for name, written in limits.items():
        if (shipped := profile.limits.get(name)) is None:
            problems.append(f"limits.{name}: the profile has no such limit; {near_miss.hint(name, profile.limits)}")
            continue
        if written.name not in (None, name):
            problems.append(f"limits.{name}.name: wanted {name}, found {written.name}")
            continue
        if written.basis is None:
            problems.append(f"limits.{name}: missing key 'basis'")
            continue
        try:
            limit = written.recorded(name)
        except ValidationError as error:  # a computed limit that is not finite, or min above max
            problems += schema_errors.problems(error, Limit, ("limits", name))
            continue
        if reason := problem(shipped, limit):
            problems.append(f"limits.{name}: {reason}")
        source = f"{limit.source}; site profile {path.stem} of {who}"
        tightened[name] = limit.model_copy(update={"source": source})
    if problems:
        raise _wrong(document, problems)
    return tightened


def _wrong(document: Document, problems: list[str]) -> CannotStart:
    return CannotStart(
        f"{inheritance.place((document,), problems[0])}: {schema_errors.summary(problems)}",
        "A site profile only tightens limits: remove what is wrong, or make it with `dgxcert calibrate RUNS --write`.",
    )
