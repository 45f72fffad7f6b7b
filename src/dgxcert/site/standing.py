"""The standing of a signed run: what its statement says, and what is known here of its signature."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dgxcert.certificate import signed_run
from dgxcert.certificate.refusal import Refused
from dgxcert.certificate.statement import CERTIFICATE
from dgxcert.outcome import CannotStart
from dgxcert.record import run_folders

REASON_CHARS = 300


class State(StrEnum):
    """What may be said of a signed file; the best first."""

    VALID = "valid"
    UNVERIFIED = "signed, not verified here"
    UNCHECKED = "signed, could not be checked"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True)
class Signers:
    """Against what signatures are verified: the list of those who may sign, and the keys that are revoked."""

    allowed: Path
    revoked: Path | None = None


@dataclass(frozen=True)
class Standing:
    """One signed file of a run folder.

    >>> from datetime import UTC
    >>> Standing(State.UNVERIFIED, CERTIFICATE, datetime(2027, 11, 23, tzinfo=UTC)).words
    'signed, not verified here; until 2027-11-23 by its own statement'
    """

    state: State
    kind: str
    """CERTIFICATE, or REPORT: signed, and no certificate."""
    expires: datetime | None = None
    """As the statement says; None where it cannot be read."""
    why: str = ""
    """Who signed it, or why it is not valid."""

    @property
    def certifies(self) -> bool:
        """Whether it is a certificate that was verified here and has not expired."""
        return self.state is State.VALID and self.kind == CERTIFICATE

    @property
    def words(self) -> str:
        """The standing on one line, with the day on which it ends."""
        day = f"{self.expires:%Y-%m-%d}" if self.expires else ""
        match self.state:
            case State.VALID:
                return f"valid until {day}, signed by {self.why}"
            case State.EXPIRED:
                return f"expired on {day}"
            case State.UNVERIFIED:
                return f"{self.state.value}; until {day} by its own statement"
            case _:
                return f"{self.state.value}: {self.why}"


def read(folder: Path, now: datetime) -> Standing | None:
    """The standing of a signed run by its own statement, which nobody vouches for; None for an unsigned run."""
    path = run_folders.signed_file(folder)
    if path is None:
        return None
    kind = CERTIFICATE if path.name == signed_run.FILES[CERTIFICATE] else "report"
    try:
        signed = signed_run.read(path, now).extension
    except Refused as refused:
        return Standing(State.INVALID, kind, why=refused.problem[:REASON_CHARS])
    except CannotStart as error:
        return Standing(State.UNCHECKED, kind, why=error.problem[:REASON_CHARS])
    state = State.EXPIRED if signed.expires <= now else State.UNVERIFIED
    return Standing(state, signed.kind, signed.expires)


def verified(folder: Path, unverified: Standing, now: datetime, signers: Signers) -> Standing:
    """The standing after signature, signer and every file of the run folder were verified, which takes a second."""
    path = run_folders.signed_file(folder)
    if path is None or unverified.state is not State.UNVERIFIED:
        return unverified
    kind, expires = unverified.kind, unverified.expires
    try:
        found = signed_run.verify(path, signers.allowed, now, revoked=signers.revoked)
    except Refused as refused:
        return Standing(State.INVALID, kind, expires, refused.problem[:REASON_CHARS])
    except CannotStart as error:
        return Standing(State.UNCHECKED, kind, expires, error.problem[:REASON_CHARS])
    return Standing(State.VALID, kind, expires, found.signer.principal[:REASON_CHARS])
