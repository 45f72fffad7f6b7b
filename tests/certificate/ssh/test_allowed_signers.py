"""A list of signers: each line is read as ssh-keygen reads it, or named with what keeps it from being read."""

from pathlib import Path

import pytest
from suites.signing import LATER, make_key, refusal

from dgxcert.certificate import signed_run
from dgxcert.certificate.ssh import allowed_signers
from dgxcert.outcome import CannotStart

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIClhnB3O/SI0CaB5vQzekTlliJTOKXZfIn9i+5eq7cgJ"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ada@lab", "it has no key"),
        (ED25519, "it begins with the key"),
        (f"!ada@lab {ED25519}", "it names nobody who may sign"),
        (f"ada@lab no-touch-required {ED25519}", "option no-touch-required is not one of"),
        (f"ada@lab valid-before=20300101 {ED25519}", 'needs quotes: valid-before="20300101"'),
        (f"\ufeffada@lab {ED25519}", "byte order mark"),
        (f"ada\x1b@lab {ED25519}", "does not print"),
        (f"ada@lab {ED25519[:-3]}", "its key is not base64"),
        (f"ada@lab {ED25519[:-4]}", "it is truncated"),
        (f"ada@lab {ED25519}AAAA", "more than the fields of its type"),
        (f"ada@lab {ED25519.replace('ssh-ed25519', 'ssh-rsa')}", "its key is of type ssh-ed25519, not ssh-rsa"),
        (f"{'a' * 40_000} {ED25519}", "at most 32768 are read"),
        (f"{'a,' * 300} {ED25519}", "it has 300 principals, and at most 256"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, words: str) -> None:
    signers = allowed_signers.read(f"# a comment\r\n\n{line}\n")
    assert signers.lines == ()
    assert (signers.unreadable[0].number, words in signers.unreadable[0].why) == (3, True), signers.unreadable


@pytest.mark.parametrize(
    ("patterns", "allowed", "others"),
    [
        ("ada@lab", ["ada@lab"], ["bob@lab", "ada@lab2", ""]),
        ("*@lab,!eve@lab", ["ada@lab", "@lab"], ["eve@lab", "ada@home"]),
        ("a?a@*", ["ada@lab", "axa@"], ["aa@lab", "adda@lab"]),
        ("[a]*", ["[a]b"], ["ab"]),
    ],
)
def test_patterns_match_as_in_ssh_config(patterns: str, allowed: list[str], others: list[str]) -> None:
    line = allowed_signers.parse(f"{patterns} {ED25519}", 1)
    assert all(line.allows(each) for each in allowed)
    assert not any(line.allows(each) for each in others)


def test_a_key_in_two_lines_is_that_of_both(signed: Path, key: Path, tmp_path: Path) -> None:
    public = key.with_suffix(".pub").read_text(encoding="ascii")
    path = tmp_path / "allowed"
    path.write_text(f"*@lab,!eve@lab {public}bob@lab {public}", encoding="ascii")
    signer = signed_run.verify(signed, path, LATER).signer
    assert signer.principal == "*@lab, not eve@lab or bob@lab"
    assert signer.listed == ("line 1: *@lab, not eve@lab", "line 2: bob@lab")


def test_the_line_that_lets_it_sign_counts(signed: Path, key: Path, tmp_path: Path) -> None:
    public = key.with_suffix(".pub").read_text(encoding="ascii")
    path = tmp_path / "allowed"
    path.write_text(f'ada@lab namespaces="git" {public}junk\nbob@lab {public}', encoding="ascii")
    signer = signed_run.verify(signed, path, LATER).signer
    assert (signer.principal, signer.listed) == ("bob@lab", ())


def test_a_damaged_line_is_named_only_where_no_other_has_the_key(signed: Path, tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    other = make_key(tmp_path / "eve").with_suffix(".pub").read_text(encoding="ascii")
    path.write_text(f"{other.replace('ssh-', 'eve ssh-', 1)}ada@lab ssh-ed25519 AAAA\n", encoding="ascii")
    with pytest.raises(CannotStart, match=r"does not list the key SHA256:.*: line 2: it is truncated"):
        signed_run.verify(signed, path, LATER)


def test_a_key_that_may_only_certify_others_is_said_to_be_one(signed: Path, key: Path, tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    path.write_text(f"ada@lab cert-authority {key.with_suffix('.pub').read_text(encoding='ascii')}", encoding="ascii")
    assert "line 1 lists it as an authority for other keys (cert-authority)" in refusal(signed, path)
