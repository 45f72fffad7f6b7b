"""Revoked keys: keys or a KRL revoke; what is neither, or is damaged, is said to be so and decides nothing."""

import subprocess
from pathlib import Path

import pytest
from suites.signing import LATER, make_key, refusal

from dgxcert.certificate import signed_run
from dgxcert.outcome import CannotStart


def krl(path: Path, key: Path) -> Path:
    """A key revocation list with one key."""
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", path, key.with_suffix(".pub")], check=True)
    return path


def test_a_list_and_a_krl_revoke_the_key(signed: Path, key: Path, allowed: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"# left us\r\n" + key.with_suffix(".pub").read_bytes())
    for revoked in (plain, krl(tmp_path / "krl", key)):
        assert refusal(signed, allowed, revoked=revoked).startswith(f"{revoked} revokes the key SHA256:")


def test_other_keys_revoke_nothing(signed: Path, allowed: Path, tmp_path: Path) -> None:
    eve = make_key(tmp_path / "eve")
    comment = tmp_path / "comment"
    comment.write_text("# none\n", encoding="ascii")
    for revoked in (eve.with_suffix(".pub"), krl(tmp_path / "krl", eve), comment):
        assert signed_run.verify(signed, allowed, LATER, revoked=revoked).certifies


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty, as a file is whose writing failed"),
        (b"junk\n", "line 1 is not a public key: it has no key"),
        (b"# left\nssh-ed25519 AAAA\n", "line 2 is not a public key: it is truncated"),
        (b"SHA256:bTx8ahUMpBKzFZFxsRD69aG/fxQ05aT77hd6anpYwGQ", "it is a fingerprint"),
        (b"serial: 1-10\n", "line 1 is one of a specification for a key revocation list"),
        (b"\x80\x81", "is neither text in UTF-8 nor a key revocation list"),
        (b"SSHKRL\n\0\0\0\0\1", "is a damaged key revocation list: "),
    ],
)
def test_a_damaged_file_is_not_said_to_revoke(
    signed: Path, allowed: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_bytes(content)
    with pytest.raises(CannotStart) as raised:
        signed_run.verify(signed, allowed, LATER, revoked=revoked)
    assert words in raised.value.problem
