"""A signed room: its statement with an SSH signature, and the verification of both and of every machine."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dgxcert.certificate import bounds, evidence_files, signed_run, statement_text
from dgxcert.certificate.refusal import BY_SIGN, FROM_THE_SIGNER, Refused
from dgxcert.certificate.room import statement as statements
from dgxcert.certificate.room.statement import FILES, NAMESPACES, Extension, Member, Pair, Predicate, RoomStatement
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.ssh import signature as ssh_signature
from dgxcert.certificate.ssh.signature import SUFFIX, Signer
from dgxcert.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE, Statement, Subject, combined_digest
from dgxcert.files import untrusted
from dgxcert.files.atomic import write_text
from dgxcert.outcome import CannotStart
from dgxcert.record import run_folders
from dgxcert.record.room import document
from dgxcert.record.room.document import HostResult, Room

Say = Callable[[str], None]


@dataclass(frozen=True)
class VerifiedRoom:
    """A statement with a valid signature, its signer, and what was verified of each machine."""

    statement: RoomStatement
    signer: Signer
    machines: dict[str, Verified]
    """By host."""

    @property
    def certifies(self) -> bool:
        """Whether it is a certificate, not only a signed report."""
        return self.statement.extension.kind == statements.CERTIFICATE


def signed_file(folder: Path) -> Path | None:
    """The signed file of a room's folder; None where there is none."""
    return next((folder / name for name in FILES.values() if os.path.lexists(folder / name)), None)


def is_of_room(path: Path) -> bool:
    """Whether a path is the signed file of a room, or the folder of one."""
    return path.name in FILES.values() or (path / document.NAME).is_file()


def file_of(path: Path) -> Path:
    """The signed file of a room, by itself or by its folder. Raises CannotStart where the room is not signed."""
    if not path.is_dir():
        return path
    found = signed_file(path)
    if found is None:
        raise CannotStart(f"{path} is not signed.", f"Sign it: dgxcert sign {path} --key KEY")
    return found


def read(path: Path) -> RoomStatement:
    """The statement in a signed file, without verifying anything. Raises CannotStart, Refused."""
    return statement_text.parse_as(RoomStatement, signed_run.content_of(path))


def require_unsigned(folder: Path) -> None:
    """Raise CannotStart where a room is signed: what its statement covers must stay as it is."""
    if signed := signed_file(folder):
        raise CannotStart(
            f"{folder} is signed ({signed.name}), and the signature covers its files.",
            f"Verify it: dgxcert verify {signed}; or validate the room again.",
        )


def sign(folder: Path, key: Path, days: int, now: datetime, say: Say) -> Path:
    """Sign a room and each of its machines that is not signed yet; return the room's signed file.

    `days` of validity count for each machine from its first measurement. Raises CannotStart where the room is signed
    already, where a machine cannot be signed (`signed_run.sign`) or is not what room.json says of it.
    """
    require_unsigned(folder)
    room = document.load(folder)
    members = tuple(_member(folder, host, key, days, now, say) for host in room.hosts)
    statement = make(folder, room, members, now.replace(microsecond=0))
    _require_readable(statement)
    signed = statement.extension
    if signed.expires <= now:
        raise CannotStart(
            f"It would have expired on {signed.expires:%Y-%m-%d}, as what is signed about a machine does.",
            "Validate that machine again.",
        )
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as temporary:
        path = Path(temporary) / FILES[signed.kind]
        path.write_text(statement.text(), encoding="utf-8")
        signature = ssh_signature.sign(path, key, NAMESPACES[signed.kind], say).read_text(encoding="ascii")
    write_text(folder / (FILES[signed.kind] + SUFFIX), signature)
    write_text(folder / FILES[signed.kind], statement.text())
    return folder / FILES[signed.kind]


def _member(folder: Path, host: HostResult, key: Path, days: int, now: datetime, say: Say) -> Member:
    nothing = Member(
        host=host.name,
        word=host.word,
        verdict=None,
        kind=None,
        file=None,
        sha256=None,
        serial=None,
        gpus=(),
        expires=None,
    )
    if not host.validated or host.run is None:
        return nothing
    if Path(host.run).is_absolute() or ".." in Path(host.run).parts:
        raise CannotStart(
            f"The run of {host.name} lies outside of {folder}, whose files a statement covers.",
            "Merge with --out naming a folder that holds the runs: dgxcert room merge FOLDER --out FOLDER",
        )
    place = folder / host.run
    path = run_folders.signed_file(place) or signed_run.sign(place, key, days, now, say)
    signed = _statement(path, now).extension
    if wrong := _difference(host, _statement(path, now)):
        raise CannotStart(f"{path} {wrong}.", "Merge the room again from its runs: dgxcert room merge")
    name = path.relative_to(folder).as_posix()
    return nothing.model_copy(
        update={
            "verdict": signed.verdict,
            "kind": signed.kind,
            "file": name,
            "sha256": evidence_files.sha256(folder, name),
            "serial": signed.machine.serial,
            "gpus": tuple(gpu.uuid for gpu in signed.machine.gpus),
            "expires": signed.expires,
        }
    )


def _statement(path: Path, now: datetime) -> Statement:
    try:
        return signed_run.read(path, now)
    except Refused as refused:
        raise CannotStart(f"{path} is not valid: {refused.problem}.", *refused.remedy) from refused


def _difference(host: HostResult, statement: Statement) -> str:
    """How what is signed about a machine is not what the room says of it; "" where it is."""
    signed = statement.extension
    if signed.verdict is not host.verdict:
        return (
            f"says {signed.verdict.value} of {host.name}, and the room {host.verdict.value if host.verdict else 'none'}"
        )
    if signed.run != Path(host.run or "").name:
        return f"is about run {signed.run}, and the room has {host.run} of {host.name}"
    return ""


def make(folder: Path, room: Room, members: tuple[Member, ...], issued: datetime) -> RoomStatement:
    """The statement about a room whose machines are signed. Raises CannotStart where none was measured."""
    digests = {member.file: member.sha256 for member in members if member.file and member.sha256}
    digests[document.NAME] = untrusted.sha256(folder / document.NAME, document.AT_MOST)
    started = [datetime.fromisoformat(host.started) for host in room.hosts if host.started]
    ends = [member.expires for member in members if member.expires]
    if not started or not ends:
        raise CannotStart("No machine of the room was validated: there is nothing to sign.", "Validate it first.")
    pairs = tuple(Pair(hosts=pair.hosts, outcome=pair.outcome) for pair in room.pairs if not pair.confirmation)
    kind = statements.kind_of(members, pairs, len(room.clashes))
    lists = statements.by_result(members)
    extension = Extension(
        says=statements.sentence(kind, members, pairs),
        kind=kind,
        room=room.name,
        members=members,
        pairs=pairs,
        clashes=len(room.clashes),
        suite_version=room.suite.version,
        suite_commit=room.suite.commit,
        evidence_sha256=combined_digest(digests),
        measured=min(started),
        issued=issued,
        expires=min(ends),
    )
    return RoomStatement(
        type=STATEMENT_TYPE,
        subject=tuple(Subject(name=name, digest={"sha256": digests[name]}) for name in sorted(digests)),
        predicate_type=PREDICATE_TYPE,
        predicate=Predicate(
            result=statements.result_of(kind, lists),
            passed=lists[0],
            warned=lists[1],
            failed=lists[2],
            dgxcert=extension,
        ),
    )


def _require_readable(statement: RoomStatement) -> None:
    """Raise CannotStart for a statement that no dgxcert would verify, before anybody signs it."""
    content = statement.text().encode()
    try:
        if len(content) > bounds.STATEMENT_BYTES:
            raise Refused(f"it has {len(content)} bytes, and at most {bounds.STATEMENT_BYTES} are read", BY_SIGN)
        _require_consistent(statement_text.parse_as(RoomStatement, content))
    except Refused as refused:
        raise CannotStart(
            f"Nothing was signed, since nobody could verify it: {refused.problem}.", *refused.remedy
        ) from refused


def _require_consistent(statement: RoomStatement) -> None:
    if wrong := statements.problem(statement):
        raise Refused(wrong, BY_SIGN)


def verify(path: Path, allowed: Path, now: datetime, *, revoked: Path | None = None) -> VerifiedRoom:
    """Verify signature, signer, dates and every machine of a signed room, offline.

    Raises Refused where one of them is not valid, and CannotStart where it could not be checked.
    """
    content = signed_run.content_of(path)
    signer, namespace = ssh_signature.verify(path, content, allowed, tuple(NAMESPACES.values()), now, revoked)
    statement = statement_text.parse_as(RoomStatement, content)
    signed = statement.extension
    if namespace != NAMESPACES[signed.kind]:
        raise Refused(f"it claims to be a {signed.kind}, but was signed as {namespace!r}", BY_SIGN)
    _require_consistent(statement)
    if statements.in_future(signed, now):
        raise Refused("it was issued in the future", "Set the clock: timedatectl")
    if signed.expires <= now:
        raise Refused(f"it expired on {signed.expires:%Y-%m-%d}", "Validate the room again and sign that.")
    _require_unchanged(statement, path.parent)
    _require_listed(signed, document.load(path.parent))
    machines = {
        member.host: _verified(member, path.parent, allowed, now, revoked) for member in signed.members if member.file
    }
    return VerifiedRoom(statement, signer, machines)


def _require_unchanged(statement: RoomStatement, folder: Path) -> None:
    """Raise Refused for a file that differs from the statement or is missing."""
    for subject in statement.subject:
        shown = evidence_files.shown([subject.name])
        try:
            digest = evidence_files.sha256(folder, subject.name)
        except FileNotFoundError as error:
            raise Refused(f"{shown}, which it covers, is missing", FROM_THE_SIGNER) from error
        except untrusted.UnfitError as error:
            raise Refused(f"{shown} is not as it was signed: {error.strerror}", FROM_THE_SIGNER) from error
        if subject.digest != {"sha256": digest}:
            raise Refused(f"{shown} was changed after signing", FROM_THE_SIGNER)


def _require_listed(signed: Extension, room: Room) -> None:
    """Raise Refused where the statement does not list every host of the room as room.json has it."""
    listed = [(member.host, member.word, member.verdict) for member in signed.members]
    hosts = [(host.name, host.word, host.verdict if host.validated else None) for host in room.hosts]
    if listed != hosts:
        raise Refused("its machines are not those of room.json", BY_SIGN)


def _verified(member: Member, folder: Path, allowed: Path, now: datetime, revoked: Path | None) -> Verified:
    """A machine's own signed file, verified, and compared with what the room says of it."""
    path = folder / str(member.file)
    try:
        verified = signed_run.verify(path, allowed, now, revoked=revoked)
    except Refused as refused:
        raise Refused(f"{member.host}: {refused.problem}", *refused.remedy) from refused
    signed = verified.statement.extension
    found = (signed.verdict, signed.kind, signed.machine.serial, tuple(gpu.uuid for gpu in signed.machine.gpus))
    if found != (member.verdict, member.kind, member.serial, member.gpus):
        raise Refused(f"what is signed about {member.host} is not what the room says of it", BY_SIGN)
    return verified
