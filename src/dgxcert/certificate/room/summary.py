"""What `sign` and `verify` print of a signed room, as lines. Pure."""

from pathlib import Path

from dgxcert.certificate.room.signed_room import VerifiedRoom
from dgxcert.certificate.room.statement import Extension, Member
from dgxcert.certificate.ssh.signature import SUFFIX
from dgxcert.console import on_one_line
from dgxcert.outcome import Outcome

MOST_MEMBERS = 50
"""Machines that are named of those that are not certified."""


def of_signing(signed: Extension, path: Path) -> list[str]:
    """The statement, who is not certified, and the files to hand over."""
    lines = [
        signed.says,
        *_uncertified(signed),
        *_pairs(signed),
        f"valid until {signed.expires:%Y-%m-%d}; evidence SHA-256 {signed.evidence_sha256}",
        f"signed in {path} and {path.name}{SUFFIX}. Hand over the whole folder.",
    ]
    return [on_one_line(line) for line in lines]


def of_verification(verified: VerifiedRoom) -> list[str]:
    """The statement, its dates and signer, and last whether it is a certificate."""
    signed, signer = verified.statement.extension, verified.signer
    lines = [
        signed.says,
        *_uncertified(signed),
        *_pairs(signed),
        f"room {signed.room}, suite: version {signed.suite_version}, commit {signed.suite_commit or 'none, a wheel'}",
        f"signed by {signer.principal} with {signer.fingerprint} on {signed.issued:%Y-%m-%d %H:%M} UTC",
        f"valid until {signed.expires:%Y-%m-%d}",
        f"{len(verified.machines)} of {len(signed.members)} machines have a valid signature of their own",
        "VERIFIED" if verified.certifies else "signatures valid; this is a report, not a certificate",
    ]
    return [on_one_line(line) for line in lines]


def _uncertified(signed: Extension) -> list[str]:
    others = [member for member in signed.members if member.kind != "certificate"]
    more = [f"and {len(others) - MOST_MEMBERS} more"] if len(others) > MOST_MEMBERS else []
    return [f"  {member.host}: {_standing(member)}" for member in others[:MOST_MEMBERS]] + more


def _standing(member: Member) -> str:
    return member.verdict.value if member.verdict else f"not validated: {member.word.value}"


def _pairs(signed: Extension) -> list[str]:
    wrong = [pair for pair in signed.pairs if pair.outcome is not Outcome.PASSED]
    clashes = [f"  machines share what no two machines share: {signed.clashes} times"] if signed.clashes else []
    return [f"  pair {' and '.join(pair.hosts)}: {pair.outcome.label}" for pair in wrong] + clashes
