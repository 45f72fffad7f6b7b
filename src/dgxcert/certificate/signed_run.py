"""A signed run: its statement with an SSH signature, and the verification of both."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dgxcert import report
from dgxcert.certificate import bounds, consistency, evidence_files, statement_check, statement_text
from dgxcert.certificate.consistency import Covered
from dgxcert.certificate.evidence_files import Contents
from dgxcert.certificate.refusal import BY_SIGN, FROM_THE_SIGNER, Refused
from dgxcert.certificate.ssh import signature as ssh_signature
from dgxcert.certificate.ssh.signature import SUFFIX, Signer
from dgxcert.certificate.statement import CERTIFICATE, NAMESPACES, REPORT, Statement, make
from dgxcert.files import untrusted
from dgxcert.files.atomic import write_text
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import waivers
from dgxcert.record import clock, journal
from dgxcert.record import run as runs
from dgxcert.record.claim import claimed
from dgxcert.record.run import Run
from dgxcert.redaction import models

FILES = dict(zip((CERTIFICATE, REPORT), runs.SIGNED, strict=True))
JUDGED = {runs.NAME: bounds.RUN_BYTES, journal.NAME: bounds.RECORD_BYTES}
"""What is not only hashed, since the verdict is rebuilt from it; and how much of it is read."""


@dataclass(frozen=True)
class Verified:
    """A statement with a valid signature, its signer, and what else is in the run folder."""

    statement: Statement
    signer: Signer
    says: str
    """The verdict in a sentence, rebuilt from the run."""
    uncovered: tuple[str, ...]
    """The files that the statement does not cover, as they are shown: `notes.txt`, `latest (a link)`."""
    unchecked: str = ""
    """What this dgxcert could not check of the run itself."""

    @property
    def certifies(self) -> bool:
        """Whether it is a certificate, not only a signed report."""
        return self.statement.extension.kind == CERTIFICATE


def sign(folder: Path, key: Path, days: int, now: datetime, say: Callable[[str], None]) -> Path:
    """Sign a run, as a certificate or as a report, and return the file that was signed.

    Raises CannotStart where the run contradicts its record, itself, this clock or its suite, where its folder holds
    what a signature cannot cover, where it is signed already or too old, or where ssh-keygen does not sign; then no
    file is left behind. Also where another process works on the run: two signatures would cover each other's files.
    """
    with claimed(folder):
        return _sign(folder, key, days, now, say)


def _sign(folder: Path, key: Path, days: int, now: datetime, say: Callable[[str], None]) -> Path:
    for name in FILES.values():
        if os.path.lexists(folder / name) or os.path.lexists(folder / (name + SUFFIX)):
            raise CannotStart(
                f"{folder / name} already exists.",
                f"Verify it with `dgxcert verify`; to sign again, move it and its {SUFFIX} away.",
            )
    _require_fit(folder)
    run, record_hash = consistency.require_signable(folder, now)
    _require_public(run, folder)
    report.write_all(run, folder)  # sign freshly generated reports, not files that may have been edited
    statement = make(run, digests(folder), now.replace(microsecond=0), days, record_hash)
    if statement.extension.expires <= now:
        raise CannotStart(
            f"It would have expired on {statement.extension.expires:%Y-%m-%d}: the run is from "
            f"{statement.extension.measured:%Y-%m-%d}.",
            "Validate the machine again.",
        )
    _require_readable(statement)
    kind = statement.extension.kind
    # In a folder of its own: where signing fails or is interrupted, the run folder stays as it was.
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as temporary:
        path = Path(temporary) / FILES[kind]
        path.write_text(statement.text(), encoding="utf-8")
        signature = ssh_signature.sign(path, key, NAMESPACES[kind], say).read_text(encoding="ascii")
    write_text(folder / (FILES[kind] + SUFFIX), signature)
    write_text(folder / FILES[kind], statement.text())
    return folder / FILES[kind]


def _require_public(run: Run, folder: Path) -> None:
    """Raise CannotStart where a run holds a secret of this process: others read what is signed."""
    if models.scrubbed(run) != models.scrubbed(run, anywhere=True):
        raise CannotStart(
            f"{folder} holds a secret that is set on this machine, and who verifies a run reads all of it.",
            "Replace that secret, and validate the machine again: dgxcert validate",
        )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a run folder by its relative path, except the signed files and hidden files.

    Raises CannotStart where one cannot be read.
    """
    try:
        files = evidence_files.contents(folder).files
        covered = (name for name in files if not (name in evidence_files.OURS or evidence_files.is_hidden(name)))
        return {name: evidence_files.sha256(folder, name) for name in covered}
    except OSError as error:
        raise _unreadable(folder, error) from error


def _require_fit(folder: Path) -> None:
    """Raise CannotStart, which names it, for something in a run folder that a signature cannot cover."""
    try:
        unfit = evidence_files.contents(folder).unfit
    except OSError as error:
        raise _unreadable(folder, error) from error
    for name, problem in sorted(unfit.items()):
        raise CannotStart(
            f"{folder} cannot be signed: {evidence_files.shown([name])}: {problem}.",
            "Move it away, or sign a copy of the folder that has no links.",
        )


def _require_readable(statement: Statement) -> None:
    """Raise CannotStart for a statement that no dgxcert would verify, before anybody signs it."""
    try:
        statement_text.parse(statement.text().encode())
        if problem := statement_check.problem(statement):
            raise Refused(problem, BY_SIGN)
    except Refused as refused:
        raise CannotStart(
            f"Nothing was signed, since nobody could verify it: {refused.problem}.", "Validate the machine again."
        ) from refused


def _unreadable(folder: Path, error: OSError) -> CannotStart:
    path = error.filename if isinstance(error.filename, str) and error.filename else str(folder)
    return CannotStart(f"{path} cannot be read: {error.strerror}.", f"Look at it: ls -l {folder}")


def verify(path: Path, allowed: Path, now: datetime, *, machine: str = "", revoked: Path | None = None) -> Verified:
    """Verify signature, signer, evidence, dates and, if one is named, the machine of a signed file, offline.

    Raises Refused where one of them is not valid, each with its own reason, and CannotStart where it could not be
    checked.
    """
    content = content_of(path)  # read once: the statement that is used must be the bytes that were verified
    signer, namespace = ssh_signature.verify(path, content, allowed, tuple(NAMESPACES.values()), now, revoked)
    statement = statement_text.parse(content)
    signed = statement.extension
    if namespace != NAMESPACES[signed.kind]:
        raise Refused(f"it claims to be a {signed.kind}, but was signed as {namespace!r}", BY_SIGN)
    _require_consistent(statement, now)
    found = _contents(path.parent)
    covered = _evidence(statement, path.parent, found)
    if machine and machine not in names(statement):
        raise Refused(
            f"it is for another machine: {', '.join(sorted(names(statement)))}, not {machine}",
            "Ask for the certificate of this one.",
        )
    truth = consistency.require_true(statement, covered, now)
    uncovered = _uncovered({*covered.digests, path.name, path.name + SUFFIX}, found)
    return Verified(statement, signer, truth.says, uncovered, truth.unchecked)


def read(path: Path, now: datetime) -> Statement:
    """The statement in a signed file, without verifying its signature. Raises CannotStart, Refused."""
    statement = statement_text.parse(content_of(path))
    if problem := statement_check.problem(statement) or statement_check.in_future(statement, now):
        raise Refused(problem, BY_SIGN)
    return statement


def content_of(path: Path) -> bytes:
    """The bytes of a signed file. Raises CannotStart where it is missing or a folder, Refused where it is unfit."""
    if path.is_dir():
        files = [path / name for name in FILES.values() if (path / name).is_file()]
        raise CannotStart(f"{path} is a folder.", f"Name the file: {files[0] if files else 'certificate.json in it'}")
    try:
        return untrusted.read_bytes(path, bounds.STATEMENT_BYTES)
    except FileNotFoundError as error:
        raise CannotStart(f"There is no {path}.", "Sign the run first: dgxcert sign RUN --key K") from error
    except untrusted.UnfitError as error:
        raise Refused(f"{path} was not read: {error.strerror}", FROM_THE_SIGNER) from error
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}") from error


def _require_consistent(statement: Statement, now: datetime) -> None:
    """Raise Refused for a statement that contradicts itself or the clock, even with a valid signature."""
    if problem := statement_check.problem(statement):
        raise Refused(problem, BY_SIGN)
    if problem := statement_check.in_future(statement, now):
        raise Refused(problem, "Set the clock: timedatectl")
    if statement.extension.expires <= now:
        raise Refused(
            f"it expired on {clock.minute(statement.extension.expires)}",
            "Validate the machine again and sign that run.",
        )


def _contents(folder: Path) -> Contents:
    try:
        return evidence_files.contents(folder)
    except OSError as error:
        raise _unreadable(folder, error) from error


def _evidence(statement: Statement, folder: Path, found: Contents) -> Covered:
    """The run and the record that a statement covers, as they were hashed.

    Raises Refused for a file that differs from the statement, is missing, or is none that a signature can cover.
    """
    kept: dict[str, bytes] = {}
    for subject in statement.subject:
        name, shown = subject.name, evidence_files.shown([subject.name])
        if name in found.unfit:
            raise Refused(f"{shown}, which it covers, is not as it was signed: {found.unfit[name]}", FROM_THE_SIGNER)
        if name not in found.files:
            raise Refused(f"{shown}, which it covers, is missing", FROM_THE_SIGNER)
        try:
            if name in JUDGED:
                kept[name] = evidence_files.read(folder, name, JUDGED[name])
                digest = hashlib.sha256(kept[name]).hexdigest()
            else:
                digest = evidence_files.sha256(folder, name)
        except untrusted.UnfitError as error:
            raise Refused(
                f"{shown}, which it covers, is not as it was signed: {error.strerror}", FROM_THE_SIGNER
            ) from error
        except OSError as error:
            raise _unreadable(folder / name, error) from error
        if subject.digest != {"sha256": digest}:
            raise Refused(f"{shown} was changed after signing", FROM_THE_SIGNER)
    digests_of = {subject.name: subject.digest["sha256"] for subject in statement.subject}
    return Covered(folder, kept[runs.NAME], kept[journal.NAME], digests_of)


def _uncovered(covered: set[str], found: Contents) -> tuple[str, ...]:
    """What else is in the folder than the certificate with what it covers, as it is shown."""
    return tuple(
        evidence_files.shown([name]) + (f" ({found.unfit[name]})" if name in found.unfit else "")
        for name in found.names
        if name not in covered
    )


def names(statement: Statement) -> set[str]:
    """Host name, serial number and GPU UUIDs of the machine of a statement."""
    signed = statement.extension.machine
    machine = Machine(
        hostname=signed.hostname, serial=signed.serial, gpus=signed.gpus, kernel="", architecture="", cores=0
    )
    return waivers.names(machine)
