"""The statement about a room: an in-toto Statement whose subjects are the signed statements of its machines. Pure."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from dgxcert.certificate import bounds, evidence_files
from dgxcert.certificate.statement import Part, Result, Subject, combined_digest
from dgxcert.console import counted
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record import clock
from dgxcert.record.room.word import Word

CERTIFICATE, REPORT = "room-certificate", "room-report"
NAMESPACES = {CERTIFICATE: "dgxcert-room-certificate", REPORT: "dgxcert-room-report"}
"""Namespace of the SSH signature by kind: neither can be presented as the other, nor as that of a machine."""
FILES = {CERTIFICATE: "room-certificate.json", REPORT: "room-report.json"}


class Member(Part):
    """One machine of the room, and what is signed about it."""

    host: str
    word: Word
    verdict: Verdict | None
    kind: Literal["certificate", "report"] | None
    """None where nothing is signed, since it was not validated."""
    file: str | None
    """Its signed file, relative to the room's folder."""
    sha256: str | None
    serial: str | None
    gpus: tuple[str, ...]
    """The UUIDs of its GPUs."""
    expires: AwareDatetime | None


class Pair(Part):
    """Two machines that a cable joins, and how their test ended."""

    hosts: tuple[str, str]
    outcome: Outcome


class Extension(Part):
    """dgxcert's own fields of the predicate."""

    format: Literal[1] = 1
    says: str
    kind: Literal["room-certificate", "room-report"]
    room: str
    members: tuple[Member, ...]
    pairs: tuple[Pair, ...]
    clashes: int
    """How often machines share what no two machines share."""
    suite_version: str
    suite_commit: str | None
    evidence_sha256: str
    measured: AwareDatetime
    """When the first machine was measured."""
    issued: AwareDatetime
    expires: AwareDatetime
    """The first day on which a machine's own certificate ends."""


class Predicate(Part):
    """in-toto's test-result predicate with the extension; its tests are the machines."""

    result: Result
    configuration: tuple[str, ...] = ()
    passed: tuple[str, ...] = Field(alias="passedTests")
    warned: tuple[str, ...] = Field(alias="warnedTests")
    failed: tuple[str, ...] = Field(alias="failedTests")
    dgxcert: Extension


class RoomStatement(Part):
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


def kind_of(members: tuple[Member, ...], pairs: tuple[Pair, ...], clashes: int) -> str:
    """A certificate only where every machine has one, every pair with limits passed, and no machine is there twice."""
    certified = bool(members) and all(member.kind == "certificate" for member in members)
    passed = all(pair.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE) for pair in pairs)
    return CERTIFICATE if certified and passed and not clashes else REPORT


def sentence(kind: str, members: tuple[Member, ...], pairs: tuple[Pair, ...] = ()) -> str:
    """What is signed, in a sentence.

    >>> pair = Pair(hosts=("spark-01", "spark-02"), outcome=Outcome.INCONCLUSIVE)
    >>> sentence(REPORT, (), (pair,))
    'This is a signed report, not a certificate: 0 of 0 machines are certified, 0 of 1 pair passed.'
    """
    certified = sum(member.kind == "certificate" for member in members)
    judged = [pair for pair in pairs if pair.outcome is not Outcome.NOT_APPLICABLE]
    unjudged = len(pairs) - len(judged)
    without = f", {counted(unjudged, 'pair')} not tested for want of limits" if unjudged else ""
    if kind == CERTIFICATE:
        passed = f"; {counted(len(judged), 'pair')} passed" if judged else ""
        return f"Every machine of the room is certified: {counted(certified, 'machine')}{passed}{without}."
    well = sum(pair.outcome is Outcome.PASSED for pair in judged)
    of_pairs = (f", {well} of {counted(len(judged), 'pair')} passed" if judged else "") + without
    machines = f"{certified} of {counted(len(members), 'machine')} are certified"
    return f"This is a signed report, not a certificate: {machines}{of_pairs}."


def problem(statement: RoomStatement) -> str:
    """How a statement contradicts itself; "" where it does not."""
    signed = statement.extension
    if signed.kind != kind_of(signed.members, signed.pairs, signed.clashes):
        return f"it claims to be a {signed.kind}, and its machines and pairs do not make it one"
    return _wrong_files(statement) or _twice(signed) or _wrong_lists(statement) or _wrong_dates(signed)


def _wrong_files(statement: RoomStatement) -> str:
    names = Counter(subject.name for subject in statement.subject)
    digests = {subject.name: subject.digest.get("sha256", "") for subject in statement.subject}
    for name, times in names.items():
        if wrong := evidence_files.name_problem(name):
            return f"it covers {evidence_files.shown([name])}, and {wrong}"
        if times > 1:
            return f"it covers {evidence_files.shown([name])} {times} times"
    for member in statement.extension.members:
        if (member.kind is None) != (member.file is None) or (
            member.file and digests.get(member.file) != member.sha256
        ):
            return f"it does not cover the signed file of {member.host}"
    if combined_digest(digests) != statement.extension.evidence_sha256:
        return "its evidence digest does not match the files that it names"
    return ""


def _twice(signed: Extension) -> str:
    """A host, a signed file or a GPU that is there twice: one good machine must not stand for another."""
    kinds = {
        "host": [member.host for member in signed.members],
        "signed file": [member.file for member in signed.members if member.file],
        "digest": [member.sha256 for member in signed.members if member.sha256],
        "GPU": [gpu for member in signed.members for gpu in member.gpus],
    }
    for name, found in kinds.items():
        for value, times in Counter(found).items():
            if times > 1 and (name != "GPU" or not signed.clashes):
                return f"it lists the {name} {value} {times} times"
    return ""


def _wrong_lists(statement: RoomStatement) -> str:
    wanted = by_result(statement.extension.members)
    predicate = statement.predicate
    if (predicate.passed, predicate.warned, predicate.failed) != wanted:
        return "its lists of machines that passed and failed do not match their verdicts"
    result = result_of(statement.extension.kind, wanted)
    return "" if predicate.result == result else f"its result is {predicate.result}, and it must be {result}"


def by_result(members: tuple[Member, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The machines that are certified, those in between, and those that were rejected or not validated."""
    failing = {member.host for member in members if member.verdict is Verdict.REJECTED or member.kind is None}
    passed = tuple(member.host for member in members if member.kind == "certificate" and member.host not in failing)
    failed = tuple(member.host for member in members if member.host in failing)
    return passed, tuple(member.host for member in members if member.host not in {*passed, *failed}), failed


def result_of(kind: str, lists: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]) -> Result:
    """in-toto's result: PASSED only for a certificate, since a policy may check nothing else."""
    if kind == CERTIFICATE:
        return "PASSED"
    return "FAILED" if lists[2] else "WARNED"


def _wrong_dates(signed: Extension) -> str:
    if signed.measured > signed.issued + bounds.CLOCK:
        return f"it was issued on {clock.minute(signed.issued)} about machines of {clock.minute(signed.measured)}"
    if signed.expires > signed.measured + timedelta(days=bounds.MOST_DAYS):
        return f"it expires on {clock.minute(signed.expires)}, more than {bounds.MOST_DAYS} days later"
    late = [member.host for member in signed.members if member.expires and signed.expires > member.expires]
    return f"it is valid for longer than what is signed about {late[0]}" if late else ""


def in_future(signed: Extension, now: datetime) -> bool:
    """Whether it was issued after `now`, the time on this machine."""
    return signed.issued > now + bounds.CLOCK
