"""A signed run: its statement with an SSH signature, and the verification of both."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from dgxcert import report
from dgxcert.certificate import consistency, ssh_signature, statement_check
from dgxcert.certificate.ssh_signature import SUFFIX, Refused, Signer
from dgxcert.certificate.statement import CERTIFICATE, NAMESPACES, REPORT, Statement, make
from dgxcert.files.atomic import write_text
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import waivers
from dgxcert.record import run as runs

FILES = dict(zip((CERTIFICATE, REPORT), runs.SIGNED, strict=True))
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Verified:
    """A statement with a valid signature, its signer, and the files of the run folder that it does not cover."""

    statement: Statement
    signer: Signer
    uncovered: tuple[str, ...]
    unchecked: str = ""
    """What this dgxcert could not check of the run itself."""

    @property
    def certifies(self) -> bool:
        """Whether it is a certificate, not only a signed report."""
        return self.statement.extension.kind == CERTIFICATE


def sign(folder: Path, key: Path, days: int, now: datetime, say: Callable[[str], None]) -> Path:
    """Sign a run, as a certificate or as a report, and return the file that was signed.

    Raises CannotStart where the run contradicts its record, itself, this clock or its suite, where it is signed already
    or too old, or where ssh-keygen does not sign; then no file is left behind.
    """
    for name in FILES.values():
        if (folder / name).exists():
            raise CannotStart(
                f"{folder / name} already exists.",
                f"Verify it with `dgxcert verify`; to sign again, move it and its {SUFFIX} away.",
            )
    run = consistency.require_signable(folder, now)
    report.write_all(run, folder)  # sign freshly generated reports, not files that may have been edited
    statement = make(run, digests(folder), now.replace(microsecond=0), days)
    if statement.extension.expires <= now:
        raise CannotStart(
            f"It would have expired on {statement.extension.expires:%Y-%m-%d}: the run is from "
            f"{statement.extension.measured:%Y-%m-%d}.",
            "Validate the machine again.",
        )
    kind = statement.extension.kind
    # In a folder of its own: where signing fails or is interrupted, the run folder stays as it was.
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as temporary:
        path = Path(temporary) / FILES[kind]
        path.write_text(statement.text(), encoding="utf-8")
        signature = ssh_signature.sign(path, key, NAMESPACES[kind], say).read_text(encoding="ascii")
    write_text(folder / (FILES[kind] + SUFFIX), signature)
    write_text(folder / FILES[kind], statement.text())
    return folder / FILES[kind]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a run folder by its relative path, except the signed files and hidden files."""
    signed = {name for kind in FILES.values() for name in (kind, kind + SUFFIX)}
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in signed and not path.name.startswith(".") and path.is_file():
            hashes[name] = _sha256(path)
    return hashes


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}") from error
    return digest.hexdigest()


def verify(path: Path, allowed: Path, now: datetime, *, machine: str = "", revoked: Path | None = None) -> Verified:
    """Verify signature, signer, evidence, dates and, if one is named, the machine of a signed file, offline.

    Raises Refused where one of them is not valid, each with its own reason, and CannotStart where it could not be
    checked.
    """
    content = _content(path)  # read once: the statement that is used must be the bytes that were verified
    signer, namespace = ssh_signature.verify(path, content, allowed, tuple(NAMESPACES.values()), revoked)
    statement = _statement(content)
    signed = statement.extension
    if namespace != NAMESPACES[signed.kind]:
        raise Refused(
            f"it claims to be a {signed.kind}, but was signed as {namespace!r}",
            "Ask for a signature by `dgxcert sign`.",
        )
    _require_consistent(statement)
    uncovered = _require_evidence(statement, path.parent)
    if signed.issued > now:
        raise Refused(
            f"it was issued on {signed.issued:%Y-%m-%d %H:%M} UTC, in the future", "Set the clock: timedatectl"
        )
    if signed.expires <= now:
        raise Refused(
            f"it expired on {signed.expires:%Y-%m-%d %H:%M} UTC", "Validate the machine again and sign that run."
        )
    if machine and machine not in names(statement):
        raise Refused(
            f"it is for another machine: {', '.join(sorted(names(statement)))}, not {machine}",
            "Ask for the certificate of this one.",
        )
    return Verified(statement, signer, uncovered, consistency.require_true(statement, path.parent, now))


def read(path: Path) -> Statement:
    """The statement in a signed file, without verifying its signature. Raises CannotStart, Refused."""
    return _statement(_content(path))


def _content(path: Path) -> bytes:
    if path.is_dir():
        files = [path / name for name in FILES.values() if (path / name).exists()]
        raise CannotStart(f"{path} is a folder.", f"Name the file: {files[0] if files else 'certificate.json in it'}")
    if not path.exists():
        raise CannotStart(f"There is no {path}.", "Sign the run first: dgxcert sign RUN --key K")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", f"Make it readable: chmod u+r {path}") from error


def _statement(content: bytes) -> Statement:
    try:
        return Statement.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(
            f"it is not a statement that this dgxcert reads: {place}: {first['msg']}", "Use the dgxcert that signed it."
        ) from error


def _require_consistent(statement: Statement) -> None:
    """Raise Refused for a statement that contradicts itself or covers no run, even with a valid signature."""
    if problem := statement_check.problem(statement):
        raise Refused(problem, "Ask for a signature by `dgxcert sign`.")


def _require_evidence(statement: Statement, folder: Path) -> tuple[str, ...]:
    """Raise Refused where a file differs from the statement; returns the files that it does not cover."""
    for subject in statement.subject:
        path = folder / subject.name
        if Path(subject.name).is_absolute() or ".." in Path(subject.name).parts:
            raise Refused(
                f"it names a file outside its run folder: {subject.name}", "Ask for a signature by `dgxcert sign`."
            )
        if not path.is_file():
            raise Refused(f"{subject.name}, which it covers, is missing", "Get the whole run folder from the signer.")
        if subject.digest != {"sha256": _sha256(path)}:
            raise Refused(f"{subject.name} was changed after signing", "Get the run folder from the signer again.")
    covered = {subject.name for subject in statement.subject}
    return tuple(name for name in digests(folder) if name not in covered)


def names(statement: Statement) -> set[str]:
    """Host name, serial number and GPU UUIDs of the machine of a statement."""
    signed = statement.extension.machine
    machine = Machine(
        hostname=signed.hostname, serial=signed.serial, gpus=signed.gpus, kernel="", architecture="", cores=0
    )
    return waivers.names(machine)
