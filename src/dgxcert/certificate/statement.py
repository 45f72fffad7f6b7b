"""The statement that is signed: an in-toto Statement with a test-result predicate and dgxcert's extension of it. Pure.

Statement v1 and test-result v0.1 of https://github.com/in-toto/attestation. Its readers ignore unknown fields, so the
extension is one of them, `dgxcert`.
"""

import hashlib
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.plan.options import WORKING
from dgxcert.plan.own_checks import OwnChecks
from dgxcert.profiles.site_record import Site
from dgxcert.profiles.waivers import Waiver
from dgxcert.record.run import Run
from dgxcert.report.words import MEANING, WEIGHTS, meaning, verdict_with_basis

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"

CERTIFICATE, REPORT = "certificate", "report"
NAMESPACES = {CERTIFICATE: "dgxcert-certificate", REPORT: "dgxcert-report"}
"""Namespace of the SSH signature by kind: a signed report cannot be presented as a certificate."""

Result = Literal["PASSED", "WARNED", "FAILED"]


class Part(BaseModel):
    """Base of the models of a statement; unknown fields are an error, since they are not verified."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Subject(Part):
    """One file of the run folder."""

    name: str
    digest: dict[str, str]


class Descriptor(Part):
    """in-toto's ResourceDescriptor: one thing the test was configured with, by name and digest."""

    name: str
    digest: dict[str, str]


class Identity(Part):
    """The machine, in the state in which it was measured."""

    hostname: str
    product: str | None
    serial: str | None
    firmware: str | None
    operating_system: str | None
    kernel: str
    driver: str | None
    cuda_driver: str | None
    gpus: tuple[Gpu, ...]


class Software(Part):
    """The image and packages that the work was done with."""

    image: str | None
    image_id: str | None
    base: str | None
    base_digest: str | None
    stack: str | None
    lock_sha256: str | None
    packages: dict[str, str | None]


class Extension(Part):
    """dgxcert's own fields of the predicate."""

    format: Literal[1] = 1
    says: str
    """One sentence: the verdict, and whether this is a certificate."""
    kind: Literal["certificate", "report"]
    run: str
    verdict: Verdict
    counts: dict[str, int]
    tier: str
    weights: str
    machine: Identity
    software: Software
    profile: str
    profile_sha256: str
    site: Site | None = None
    """What a site has tightened, and from which runs; None where the limits are those that ship."""
    own: OwnChecks | None = None
    """The lab's own checks, whose requirements begin with `OWN-`: they could reject, and certify nothing."""
    suite_version: str
    suite_commit: str | None
    suite_sha256: str
    limits: dict[str, int] | None = None
    """Limits that results were compared with, by basis; None in certificates of dgxcert 0.1.0."""
    evidence_sha256: str
    """Digest over names and digests of all subjects: one number to compare by telephone."""
    record_hash: str | None = None
    """The hash that the last line of the record carries (`record.chain`); None for a record up to format 5."""
    waivers: tuple[Waiver, ...]
    measured: AwareDatetime
    """When the first requirement was measured: the certificate's age counts from it."""
    issued: AwareDatetime
    expires: AwareDatetime


class Predicate(Part):
    """in-toto's test-result predicate with the extension."""

    result: Result
    configuration: tuple[Descriptor, ...]
    passed: tuple[str, ...] = Field(alias="passedTests")
    warned: tuple[str, ...] = Field(alias="warnedTests")
    failed: tuple[str, ...] = Field(alias="failedTests")
    dgxcert: Extension


class Statement(Part):
    """The whole file."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(alias="predicateType")
    predicate: Predicate

    @property
    def extension(self) -> Extension:
        """dgxcert's own fields."""
        return self.predicate.dgxcert

    def text(self) -> str:
        """The file's content, whose bytes are signed."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


Digests = dict[str, str]
"""SHA-256 of files by their names."""


def make(run: Run, digests: Digests, issued: datetime, days: int, record_hash: str | None = None) -> Statement:
    """The statement about a run; `digests` holds the SHA-256 of each file of its folder.

    It expires `days` after the first measurement of the run, or with the first waiver that the verdict depends on.
    """
    kind = CERTIFICATE if run.judgement.verdict is Verdict.CERTIFIED else REPORT
    measured = datetime.fromisoformat(run.measured or run.started)
    used = tuple(result.waiver for result in run.waived if result.waiver)
    extension = Extension(
        says=_sentence(run, kind),
        kind=kind,
        run=run.name,
        verdict=run.judgement.verdict,
        counts=run.judgement.counts,
        tier=run.options.tier.value,
        weights=WEIGHTS[run.options.weights],
        machine=_identity(run),
        software=_software(run),
        profile=run.profile.name,
        profile_sha256=run.profile_sha256,
        site=run.profile.site,
        own=run.own,
        **{f"suite_{name}": getattr(run.suite, name) for name in ("version", "commit", "sha256")},
        limits=run.limits,
        evidence_sha256=combined_digest(digests),
        record_hash=record_hash,
        waivers=used,
        measured=measured,
        issued=issued,
        expires=min([measured + timedelta(days=days), *map(end_of, used)]),
    )
    return Statement(
        type=STATEMENT_TYPE,
        subject=tuple(Subject(name=name, digest={"sha256": digests[name]}) for name in sorted(digests)),
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            result=_result(run),
            configuration=_configuration(run),
            passed=_keys(run, Outcome.PASSED),
            warned=_keys(run, Outcome.INCONCLUSIVE),
            failed=_keys(run, Outcome.FAILED),
            dgxcert=extension,
        ),
    )


def _keys(run: Run, outcome: Outcome) -> tuple[str, ...]:
    """The requirements that ended so."""
    return tuple(result.key for result in run.results if result.outcome is outcome)


def end_of(waiver: Waiver) -> datetime:
    """The last second of a waiver."""
    return datetime.combine(waiver.until, time(23, 59, 59), tzinfo=UTC)


def combined_digest(digests: dict[str, str]) -> str:
    """One digest over all files, as `sha256sum` lists them in order of their names.

    >>> combined_digest({"run.json": "a1", "junit.xml": "b2"})[:16]
    'cfce97e784a53a54'
    """
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sentence(run: Run, kind: str) -> str:
    if kind == CERTIFICATE:
        return f"{verdict_with_basis(run)}: {meaning(run)}."
    return f"This is a signed report, not a certificate. {verdict_with_basis(run)}: {MEANING[run.judgement.verdict]}."


def _result(run: Run) -> Result:
    """in-toto's result: PASSED only for a certificate without waivers, since a policy may check nothing else."""
    verdict = run.judgement.verdict
    if verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE):
        return "FAILED"
    return "PASSED" if verdict is Verdict.CERTIFIED and not run.waived else "WARNED"


def _identity(run: Run) -> Identity:
    machine = run.machine
    fields: dict[str, Any] = {name: getattr(machine, name) for name in Identity.model_fields}
    return Identity(**fields)


def _software(run: Run) -> Software:
    image = run.image
    working = next((run.software[stage] for stage in WORKING if stage in run.software), None)
    return Software(
        image=image.reference if image else None,
        image_id=image.id if image else None,
        base=image.base if image else None,
        base_digest=image.base_digest if image else None,
        stack=image.stack if image else None,
        lock_sha256=image.lock_sha256 if image else None,
        packages=working.packages if working else {},
    )


def _configuration(run: Run) -> tuple[Descriptor, ...]:
    descriptors = [
        Descriptor(name=f"profile {run.profile.name}", digest={"sha256": run.profile_sha256}),
        Descriptor(name=f"dgxcert {run.suite.version}", digest={"sha256": run.suite.sha256}),
    ]
    if site := run.profile.site:
        descriptors.append(Descriptor(name=f"site profile {site.name}", digest={"sha256": site.sha256}))
    if run.own:
        descriptors.append(Descriptor(name=f"own checks {run.own.name}", digest={"sha256": run.own.sha256}))
    if run.suite.commit:
        descriptors.append(Descriptor(name="dgxcert source", digest={"gitCommit": run.suite.commit}))
    if image := run.image:
        descriptors.append(
            Descriptor(name=f"image {image.reference}", digest={"sha256": image.id.removeprefix("sha256:")})
        )
        descriptors.append(Descriptor(name=f"lock of stack {image.stack}", digest={"sha256": image.lock_sha256}))
    return tuple(descriptors)
