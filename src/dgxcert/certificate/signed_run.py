"""The certificate: a run's statement, signed by whoever vouches for it, and what must hold for it to be believed."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from dgxcert import report
from dgxcert.atomic import write_text
from dgxcert.certificate import ssh_signature
from dgxcert.certificate.ssh_signature import SUFFIX, Refused, Signer
from dgxcert.certificate.statement import CERTIFICATE, NAMESPACES, REPORT, Statement, make, over
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.identity import Machine
from dgxcert.outcome import CannotStart
from dgxcert.profiles import waivers
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run

FILES = {CERTIFICATE: "certificate.json", REPORT: "signed-report.json"}
DAYS = 365
CHUNK = 2**20


@dataclass(frozen=True)
class Verified:
    """A statement whose signature holds, who made it, and the files beside it that it does not speak of."""

    statement: Statement
    signer: Signer
    uncovered: tuple[str, ...]

    @property
    def certifies(self) -> bool:
        """Whether it is a certificate, and not only a signed report."""
        return self.statement.ours.kind == CERTIFICATE


def sign(folder: Path, key: Path, days: int, now: datetime, say: Callable[[str], None]) -> Path:
    """Sign a run, as a certificate or as a report, and return the file that was signed.

    What is signed is rebuilt from the record first: nobody vouches for a verdict that somebody wrote into a file.
    Raises CannotStart where the run does not follow from its record, is signed already, is too old, or where
    ssh-keygen does not sign; then nothing is left behind.
    """
    run = _from_record(folder)
    for name in FILES.values():
        if (folder / name).exists():
            raise CannotStart(
                f"{folder / name} is there already.",
                f"Verify it with `dgxcert verify`; to sign anew, move it and its {SUFFIX} away.",
            )
    report.write_all(run, folder)
    statement = make(run, digests(folder), now.replace(microsecond=0), days)
    if statement.ours.expires <= now:
        raise CannotStart(
            f"It would have expired on {statement.ours.expires:%Y-%m-%d}: the run is of "
            f"{statement.ours.measured:%Y-%m-%d}.",
            "Validate the machine again.",
        )
    kind = statement.ours.kind
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as place:
        path = Path(place) / FILES[kind]
        path.write_text(statement.text(), encoding="utf-8")
        signed = ssh_signature.sign(path, key, NAMESPACES[kind], say).read_text(encoding="ascii")
    write_text(folder / (FILES[kind] + SUFFIX), signed)
    write_text(folder / FILES[kind], statement.text())
    return folder / FILES[kind]


def _from_record(folder: Path) -> Run:
    """The run as its record tells it; raises CannotStart where run.json tells it otherwise."""
    kept = runs.load(folder)
    rebuilt = runs.assemble(journal.read(folder), kept.name)
    if rebuilt != kept:
        differing = [name for name in Run.model_fields if getattr(rebuilt, name) != getattr(kept, name)]
        raise CannotStart(
            f"{folder / runs.NAME} is not what {journal.NAME} tells: {', '.join(differing)} differ.",
            "Somebody changed one of them, or another dgxcert wrote them. Validate the machine again.",
        )
    return kept


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run folder by its name in it, without signed files and those that begin with a dot."""
    ours = {name for kind in FILES.values() for name in (kind, kind + SUFFIX)}
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in ours and not path.name.startswith(".") and path.is_file():
            found[name] = _sha256(path)
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error
    return digest.hexdigest()


def verify(path: Path, allowed: Path, now: datetime, *, machine: str = "", revoked: Path | None = None) -> Verified:
    """What a signed file says, if all of it holds: signature, signer, evidence, dates, and the machine if one is named.

    Raises Refused, each with its own reason, and CannotStart where it could not be looked at. Asks no network.
    """
    content = _content(path)  # once: what is believed is what was verified
    signer, namespace = ssh_signature.verify(path, content, allowed, tuple(NAMESPACES.values()), revoked)
    statement = _statement(content)
    ours = statement.ours
    if namespace != NAMESPACES[ours.kind]:
        raise Refused(
            f"it says that it is a {ours.kind}, and was signed as {namespace!r}",
            "Ask for a signature by `dgxcert sign`.",
        )
    _hold_together(statement)
    uncovered = _hold_evidence(statement, path.parent)
    if ours.issued > now:
        raise Refused(f"it was issued on {ours.issued:%Y-%m-%d %H:%M} UTC, which is to come", "Set the clock right.")
    if ours.expires <= now:
        raise Refused(f"it expired on {ours.expires:%Y-%m-%d %H:%M} UTC", "Validate and sign the machine again.")
    if machine and machine not in names(statement):
        raise Refused(
            f"it is for another machine: {', '.join(sorted(names(statement)))}, not {machine}",
            "Ask for the certificate of this one.",
        )
    return Verified(statement, signer, uncovered)


def read(path: Path) -> Statement:
    """What a signed file says, whether or not its signature holds. Raises CannotStart, Refused."""
    return _statement(_content(path))


def _content(path: Path) -> bytes:
    if path.is_dir():
        signed = [path / name for name in FILES.values() if (path / name).exists()]
        raise CannotStart(f"{path} is a folder.", f"Name the file: {signed[0] if signed else 'certificate.json in it'}")
    if not path.exists():
        raise CannotStart(f"There is no {path}.", "Sign the run first: dgxcert sign RUN --key K")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Mend its permissions.") from error


def _statement(content: bytes) -> Statement:
    try:
        return Statement.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(
            f"it is no statement of this dgxcert: {place}: {first['msg']}", "Use the dgxcert that signed it."
        ) from error


def _hold_together(statement: Statement) -> None:
    """A statement says one thing only, and rests on a run: whatever else somebody signed is no certificate."""
    ours = statement.ours
    spoken = {subject.name: subject.digest.get("sha256", "") for subject in statement.subject}
    lost = [name for name in (runs.NAME, journal.NAME) if name not in spoken]
    problem = ""
    if (ours.kind == CERTIFICATE) != (ours.verdict is Verdict.CERTIFIED):
        problem = f"it calls itself a {ours.kind} of a run that ended {ours.verdict.value}"
    elif lost:
        problem = f"it vouches for no {' and no '.join(lost)}"
    elif over(spoken) != ours.evidence_sha256:
        problem = "its digest of all evidence is not that of the files it names"
    if problem:
        raise Refused(problem, "Ask for a signature by `dgxcert sign`.")


def _hold_evidence(statement: Statement, folder: Path) -> tuple[str, ...]:
    """Hold the files beside a statement against it; returns those that it does not speak of."""
    for subject in statement.subject:
        path = folder / subject.name
        if Path(subject.name).is_absolute() or ".." in Path(subject.name).parts:
            raise Refused(
                f"it speaks of a file outside its run: {subject.name}", "Ask for a signature by `dgxcert sign`."
            )
        if not path.is_file():
            raise Refused(f"{subject.name}, which it vouches for, is not there", "Keep the run folder whole.")
        if subject.digest != {"sha256": _sha256(path)}:
            raise Refused(f"{subject.name} was changed after it was signed", "Get the run folder anew from the signer.")
    spoken = {subject.name for subject in statement.subject}
    return tuple(name for name in digests(folder) if name not in spoken)


def names(statement: Statement) -> set[str]:
    """What the machine of a statement may be called by."""
    found = statement.ours.machine
    machine = Machine(
        hostname=found.hostname, serial=found.serial, gpus=found.gpus, kernel="", architecture="", cores=0
    )
    return waivers.names(machine)
