"""Every kind of key signs, one in an agent as well; what ssh-keygen refuses is refused with its reason."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from suites.certified import folder
from suites.signing import LATER, NOW, allowed_signers, make_key, refusal, sign_as

from dgxcert.certificate import signed_run
from dgxcert.certificate.refusal import Refused
from dgxcert.outcome import CannotStart


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_every_kind_of_key_signs(kind: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", kind=kind)
    path = signed_run.sign(folder(tmp_path), key, 365, NOW, lambda _: None)
    assert signed_run.verify(path, allowed_signers(tmp_path / "allowed", key), LATER).certifies


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent for this test alone."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as running:
        while not socket.exists():
            pass
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
        running.terminate()


@pytest.mark.usefixtures("agent")
def test_a_key_that_only_an_agent_holds_signs(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    subprocess.run(["ssh-add", "-q", key], check=True)
    key.unlink()
    path = signed_run.sign(folder(tmp_path), key.with_suffix(".pub"), 365, NOW, lambda _: None)
    assert signed_run.verify(path, allowed_signers(tmp_path / "allowed", key), LATER).certifies


@pytest.mark.usefixtures("agent")
def test_a_public_key_that_no_agent_holds_signs_nothing(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    key.unlink()
    made = folder(tmp_path)
    with pytest.raises(CannotStart) as raised:
        signed_run.sign(made, key.with_suffix(".pub"), 365, NOW, lambda _: None)
    assert "Nothing was signed" in raised.value.problem
    assert "ssh-add" in str(raised.value)
    assert not list(made.glob("certificate*"))


def test_a_wrong_passphrase_signs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key", passphrase="a long one")
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho another one\n", encoding="ascii")
    askpass.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(askpass))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    made = folder(tmp_path)
    with pytest.raises(CannotStart) as raised:
        signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert "incorrect passphrase" in raised.value.problem
    assert "Type the key's passphrase" in str(raised.value)
    assert not list(made.glob("certificate*"))


def test_a_passphrase_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key", passphrase="a long one")
    askpass = tmp_path / "askpass"
    askpass.write_text("#!/bin/sh\necho a long one\n", encoding="ascii")
    askpass.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(askpass))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    path = signed_run.sign(folder(tmp_path), key, 365, NOW, lambda _: None)
    assert signed_run.verify(path, allowed_signers(tmp_path / "allowed", key), LATER).certifies


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="There is no key"):
        signed_run.sign(folder(tmp_path), tmp_path / "none", 365, NOW, lambda _: None)


def test_a_missing_ssh_keygen_is_not_a_refusal(signed: Path, key: Path, allowed: Path, tmp_path: Path) -> None:
    made = folder(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(CannotStart, match="ssh-keygen was not found, so nothing was verified"):
            signed_run.verify(signed, allowed, LATER)
        with pytest.raises(CannotStart, match="ssh-keygen was not found"):
            signed_run.sign(made, key, 365, NOW, lambda _: None)


def test_a_missing_signature_is_refused(copied: Path, allowed: Path) -> None:
    copied.with_name(copied.name + ".sig").unlink()
    assert "there is no signature" in refusal(copied, allowed)


def test_another_key_is_refused(signed: Path, allowed: Path, tmp_path: Path) -> None:
    other = allowed_signers(tmp_path / "allowed", make_key(tmp_path / "eve"))
    assert "by a key that" in refusal(signed, other)
    assert "does not list" in refusal(signed, other)


def test_a_key_that_may_not_sign_certificates_is_refused(signed: Path, key: Path, tmp_path: Path) -> None:
    for_others = allowed_signers(tmp_path / "allowed", key, options='namespaces="git"')
    assert "its namespaces are without 'dgxcert-certificate' (line 1)" in refusal(signed, for_others)


def test_an_expired_key_is_refused(signed: Path, key: Path, tmp_path: Path) -> None:
    expired = allowed_signers(tmp_path / "allowed", key, options='valid-before="20200101"')
    assert "is not valid at this time" in refusal(signed, expired)


def test_a_revoked_key_is_refused(signed: Path, key: Path, allowed: Path) -> None:
    assert "revokes the key SHA256:" in refusal(signed, allowed, revoked=key.with_suffix(".pub"))


def test_another_namespace_is_refused(copied: Path, key: Path, allowed: Path) -> None:
    sign_as(copied, key, "git")
    assert "signed for another purpose: namespace 'git'" in refusal(copied, allowed)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("nonsense\n", "is not an allowed signers file"), ("", "does not list")],
)
def test_an_unusable_allowed_signers_file_is_named(
    signed: Path, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "allowed"
    if content is not None:
        path.write_text(content, encoding="ascii")
    with pytest.raises((CannotStart, Refused)) as raised:
        signed_run.verify(signed, path, LATER)
    assert words in str(raised.value)
