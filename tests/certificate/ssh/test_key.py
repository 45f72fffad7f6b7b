"""Keys and SSH certificates that ssh-keygen accepts and that prove little are refused; good ones are accepted."""

import subprocess
from pathlib import Path

import pytest
from suites.signing import LATER, NOW, make_key, refusal

from dgxcert.certificate import signed_run
from dgxcert.certificate.ssh import key as keys
from dgxcert.certificate.ssh.armor import Armor
from dgxcert.outcome import CannotStart


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text(encoding="ascii")


def test_a_short_rsa_key_is_refused_and_signs_nothing(copied: Path, tmp_path: Path) -> None:
    key = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", key], check=True)
    copied.with_name(copied.name + ".sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "dgxcert-certificate", copied], check=True)
    (tmp_path / "allowed").write_text(f"ada@lab {public(key)}", encoding="ascii")
    assert refusal(copied, tmp_path / "allowed").startswith("an RSA key of 1024 bits signed it")
    for name in (copied.name, copied.name + ".sig"):
        (copied.parent / name).unlink()
    with pytest.raises(CannotStart, match="nobody could verify it: an RSA key of 1024 bits"):
        signed_run.sign(copied.parent, key, 365, NOW, lambda _: None)
    assert not copied.exists()


@pytest.mark.parametrize(
    ("key_type", "signature_type", "hashed", "touched", "words"),
    [
        ("ssh-dss", "ssh-dss", "sha512", True, "a key of type ssh-dss signed it"),
        ("ssh-rsa", "ssh-rsa", "sha512", True, "of type ssh-rsa, which is RSA with SHA-1"),
        ("ssh-ed25519", "ssh-ed25519", "sha1", True, "over a hash by sha1"),
        ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", "sha512", False, "nobody touched"),
        ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", "sha512", True, ""),
    ],
)
def test_a_signature_that_proves_little_says_why(
    key_type: str, signature_type: str, hashed: str, touched: bool, words: str
) -> None:
    made = Armor(keys.Key(b"", key_type, b""), "dgxcert-certificate", hashed, signature_type, touched=touched)
    assert (words in made.weakness, bool(made.weakness)) == (True, bool(words))


def certified(copied: Path, place: Path, *words: str) -> None:
    """Sign with a key whose SSH certificate an authority has made; only an agent signs with one."""
    authority, user = place / "ca", place / "user"
    for path in (authority, user):
        if not path.exists():
            make_key(path)
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "of a test", *words, f"{user}.pub"], check=True)
    copied.with_name(copied.name + ".sig").unlink()
    script = 'ssh-add -q "$1" && exec ssh-keygen -q -Y sign -f "$1-cert.pub" -n dgxcert-certificate "$2"'
    subprocess.run(["ssh-agent", "sh", "-c", script, "-", user, copied], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("-n", "eve@home,ada@lab"), ""),
        (("-n", "eve@home"), "its SSH certificate is for eve@home, and it allows *@lab, not bob@lab (line 1)"),
        (("-n", "bob@lab"), "its SSH certificate is for bob@lab"),
        ((), "names no principal, so that it is for anybody"),
        (("-n", "ada@lab", "-h"), "is one for a host, not for a user"),
        (("-n", "ada@lab", "-V", "20200101:20210101"), "expired on 2021-01-01"),
        (("-n", "ada@lab", "-V", "20990101:21000101"), "is not valid before 2099-01-01"),
        (("-n", "ada@lab", "-O", "source-address=10.0.0.0/8"), "restricts its use (source-address)"),
    ],
)
def test_an_ssh_certificate_signs_for_its_principals_in_its_time(
    copied: Path, tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    certified(copied, tmp_path, *words)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"*@lab,!bob@lab cert-authority {public(tmp_path / 'ca')}", encoding="ascii")
    if problem:
        assert problem in refusal(copied, allowed)
    else:
        signer = signed_run.verify(copied, allowed, LATER).signer
        assert signer.principal == "ada@lab"
        assert signer.certified.startswith("SSH certificate 'of a test' of the authority SHA256:")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("*@lab {ca}", "lists the key that certified it without cert-authority"),
        ("*@lab {user}", "lists the key alone; it was signed with the SSH certificate of that key"),
        ("*@lab cert-authority {user}", "does not list"),
    ],
)
def test_a_list_without_the_authority_says_what_it_has(copied: Path, tmp_path: Path, line: str, words: str) -> None:
    certified(copied, tmp_path, "-n", "ada@lab")
    allowed = tmp_path / "allowed"
    allowed.write_text(line.format(ca=public(tmp_path / "ca"), user=public(tmp_path / "user")), encoding="ascii")
    assert words in refusal(copied, allowed)
