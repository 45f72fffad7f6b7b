"""What `dgxcert verify --json` and `dgxcert drift --json` print: what a signed run is worth, here and now."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from dgxcert.certificate.drift import Compared, State
from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.room.signed_room import VerifiedRoom
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.statement import Extension, Identity, Software
from dgxcert.cli.exit_code import Verify
from dgxcert.cli.json_output.document import Document, Part
from dgxcert.judgement.verdict import Verdict
from dgxcert.profiles.waivers import Waiver
from dgxcert.record.room.word import Word


class Refusal(Part):
    """Why a signed file is not valid."""

    reason: str
    remedy: tuple[str, ...]


class Signer(Part):
    """Who signed."""

    principal: str
    fingerprint: str
    certified: str
    """For an SSH certificate: its id and authority."""
    listed: tuple[str, ...]
    """Where the key is listed for several: each line of the list."""


class Signed(Part):
    """What the statement says."""

    kind: Literal["certificate", "report"]
    says: str
    run: str
    verdict: Verdict
    counts: dict[str, int]
    limits: dict[str, int] | None
    """Limits that results were compared with, by basis."""
    tier: str
    profile: str
    site: str | None
    machine: Identity
    software: Software
    suite_version: str
    suite_commit: str | None
    suite_sha256: str
    evidence_sha256: str
    waivers: tuple[Waiver, ...]
    measured: datetime
    issued: datetime
    expires: datetime


class SignedMachine(Part):
    """What is signed about one machine of a room."""

    host: str
    word: Word
    verdict: Verdict | None
    """None where it was not validated."""
    kind: Literal["certificate", "report"] | None
    serial: str | None
    gpus: tuple[str, ...]
    expires: datetime | None


class SignedRoom(Part):
    """What the statement about a room says."""

    kind: Literal["room-certificate", "room-report"]
    room: str
    machines: tuple[SignedMachine, ...]
    issued: datetime
    expires: datetime


class Verification(Document):
    """A signed run or room, verified offline."""

    file: str
    certifies: bool
    """Whether it is a valid certificate: the one member that a gate needs."""
    refused: Refusal | None
    """None where signature, signer, evidence, dates and machine are valid."""
    signed: Signed | None
    """None where it was refused, since what it says counts for nothing, and where a room is signed."""
    room: SignedRoom | None = None
    """What is signed about a room; None for a run."""
    signer: Signer | None
    says: str
    """The verdict in a sentence, rebuilt from the evidence."""
    uncovered: tuple[str, ...]
    """Files of the run folder that the signature does not cover."""
    unchecked: str
    """What this dgxcert could not check."""
    exit_code: int
    """0: a certificate; 1: refused; 2: valid, but only a report."""


class Fact(Part):
    """One thing as it was certified and as it is."""

    what: str
    certified: str
    current: str
    state: State


class Drift(Document):
    """What has changed on this machine since its certificate."""

    file: str
    valid: bool | None
    """None where something that decides could not be checked, its signature too."""
    refused: Refusal | None
    signature_verified: bool
    signed: Signed | None
    facts: tuple[Fact, ...]
    exit_code: int
    """0: still valid; 1: not; 2: something could not be checked."""


def of_verified(verified: Verified, file: str) -> Verification:
    """The document of a valid signature."""
    signer = verified.signer
    return Verification(
        file=file,
        certifies=verified.certifies,
        refused=None,
        signed=_signed(verified.statement.extension),
        signer=Signer(**{name: getattr(signer, name) for name in Signer.model_fields}),
        says=verified.says,
        uncovered=verified.uncovered,
        unchecked=verified.unchecked,
        exit_code=Verify.CERTIFICATE if verified.certifies else Verify.REPORT,
    )


def of_verified_room(verified: VerifiedRoom, file: str) -> Verification:
    """The document of a room's valid signature."""
    signed, signer = verified.statement.extension, verified.signer
    machines = tuple(
        SignedMachine(**{name: getattr(member, name) for name in SignedMachine.model_fields})
        for member in signed.members
    )
    return Verification(
        file=file,
        certifies=verified.certifies,
        refused=None,
        signed=None,
        room=SignedRoom(
            kind=signed.kind, room=signed.room, machines=machines, issued=signed.issued, expires=signed.expires
        ),
        signer=Signer(**{name: getattr(signer, name) for name in Signer.model_fields}),
        says=signed.says,
        uncovered=(),
        unchecked="",
        exit_code=Verify.CERTIFICATE if verified.certifies else Verify.REPORT,
    )


def of_refused(refused: Refused, file: str) -> Verification:
    """The document of a file that is not valid."""
    return Verification(
        file=file,
        certifies=False,
        refused=_refusal(refused),
        signed=None,
        signer=None,
        says="",
        uncovered=(),
        unchecked="",
        exit_code=Verify.REFUSED,
    )


def of_drift(
    extension: Extension, compared: Iterable[Compared], file: str, *, valid: bool | None, verified: bool, exit_code: int
) -> Drift:
    """The document of what has changed."""
    return Drift(
        file=file,
        valid=valid,
        refused=None,
        signature_verified=verified,
        signed=_signed(extension),
        facts=tuple(
            Fact(what=each.name, certified=each.certified, current=each.current, state=each.state) for each in compared
        ),
        exit_code=exit_code,
    )


def drift_refused(refused: Refused, file: str) -> Drift:
    """The document of a certificate that counts for nothing here."""
    return Drift(
        file=file,
        valid=False,
        refused=_refusal(refused),
        signature_verified=False,
        signed=None,
        facts=(),
        exit_code=Verify.REFUSED,
    )


def _refusal(refused: Refused) -> Refusal:
    return Refusal(reason=refused.problem, remedy=refused.remedy)


def _signed(extension: Extension) -> Signed:
    shared = {name: getattr(extension, name) for name in Signed.model_fields if name != "site"}
    return Signed(**shared, site=extension.site.description if extension.site else None)
