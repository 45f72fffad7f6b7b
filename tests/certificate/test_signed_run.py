"""A certificate holds only whole: what is changed, missing, expired or meant for another is refused by its own name."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from needs import missing
from suites.certified import KEYS, folder
from suites.example import finished
from typer.testing import CliRunner

from dgxcert import report
from dgxcert.certificate import signed_run
from dgxcert.certificate.signed_run import Verified
from dgxcert.certificate.ssh_signature import Refused
from dgxcert.cli import app
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.suite import Suite
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import run as runs

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
FULL = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    if shutil.which("ssh-keygen") is None:
        missing("ssh-keygen", "Run: sudo scripts/system-packages")
    making = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "of a test", "-f", str(path)]
    subprocess.run(making, check=True)
    return path


def list_of(path: Path, *keys: Path, options: str = "") -> Path:
    lines = [f"ada@lab {options} {key.with_suffix('.pub').read_text(encoding='ascii')}" for key in keys]
    path.write_text("".join(lines), encoding="ascii")
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "ada")


@pytest.fixture(scope="module")
def allowed(key: Path) -> Path:
    return list_of(key.parent / "allowed", key)


@pytest.fixture(scope="module")
def signed(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate in its run folder; who changes it works on a copy."""
    return signed_run.sign(folder(tmp_path_factory.mktemp("signed")), key, 365, NOW, lambda _: None)


@pytest.fixture
def copied(signed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed.parent, tmp_path / "copy") / signed.name


def refused(path: Path, allowed: Path, now: datetime = LATER, **more: object) -> str:
    with pytest.raises(Refused) as raised:
        signed_run.verify(path, allowed, now, **more)  # type: ignore[arg-type]
    return raised.value.problem


def test_a_certificate_says_who_when_for_which_machine_and_until_when(signed: Path, allowed: Path) -> None:
    found = signed_run.verify(signed, allowed, LATER, machine="spark-07")
    ours = found.statement.ours
    assert isinstance(found, Verified)
    assert found.certifies
    assert found.signer.principal == "ada@lab"
    assert found.signer.fingerprint.startswith("SHA256:")
    assert (ours.machine.hostname, ours.machine.gpus[0].uuid) == ("spark-07", "GPU-5b1f0c1d")
    assert (ours.issued, ours.expires) == (NOW, datetime(2027, 11, 23, 18, 40, 12, tzinfo=UTC))
    assert found.uncovered == ()
    assert {subject.name for subject in found.statement.subject} == {
        *("run.json", "records.jsonl", "junit.xml", "summary.md", "report.html", "metrics.prom"),
        "logs/container-1.log",
    }


def test_it_is_an_in_toto_statement_of_a_test_result(signed: Path) -> None:
    content = json.loads(signed.read_text(encoding="utf-8"))
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = content["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == list(KEYS)
    assert all(set(each) == {"name", "digest"} for each in predicate["configuration"])
    assert {each["name"].split(" ")[0] for each in predicate["configuration"]} >= {
        "profile",
        "dgxcert",
        "image",
        "lock",
    }


@pytest.mark.parametrize("name", ["run.json", "records.jsonl", "report.html", "logs/container-1.log", "summary.md"])
def test_evidence_that_was_changed_is_refused_by_name(copied: Path, allowed: Path, name: str) -> None:
    path = copied.parent / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert refused(copied, allowed) == f"{name} was changed after it was signed"


def test_evidence_that_is_gone_is_refused_by_name(copied: Path, allowed: Path) -> None:
    (copied.parent / "records.jsonl").unlink()
    assert refused(copied, allowed) == "records.jsonl, which it vouches for, is not there"


def test_a_file_that_was_added_is_named(copied: Path, allowed: Path) -> None:
    (copied.parent / "report-new.html").write_text("CERTIFIED", encoding="utf-8")
    assert signed_run.verify(copied, allowed, LATER).uncovered == ("report-new.html",)


def test_a_statement_that_was_changed_is_refused(copied: Path, allowed: Path) -> None:
    text = copied.read_text(encoding="utf-8")
    copied.write_text(text.replace("2027-11-23", "2037-11-23"), encoding="utf-8")
    assert "is not what was signed" in refused(copied, allowed)


def test_another_key_is_refused(signed: Path, allowed: Path, tmp_path: Path) -> None:
    other = list_of(tmp_path / "allowed", make_key(tmp_path / "eve"))
    assert "by a key that" in refused(signed, other)
    assert "does not list" in refused(signed, other)


def test_a_key_that_may_not_sign_certificates_is_refused(signed: Path, key: Path, tmp_path: Path) -> None:
    for_others = list_of(tmp_path / "allowed", key, options='namespaces="git"')
    assert "does not let this key sign for 'dgxcert-certificate'" in refused(signed, for_others)


def test_a_key_whose_time_is_over_is_refused(signed: Path, key: Path, tmp_path: Path) -> None:
    over = list_of(tmp_path / "allowed", key, options='valid-before="20200101"')
    assert "for another time only" in refused(signed, over)


def test_a_revoked_key_is_refused(signed: Path, key: Path, allowed: Path) -> None:
    assert "revokes the key SHA256:" in refused(signed, allowed, revoked=key.with_suffix(".pub"))


def test_another_namespace_is_refused(copied: Path, key: Path, allowed: Path) -> None:
    sign_as(copied, key, "git")
    assert "signed for another purpose: namespace 'git'" in refused(copied, allowed)


def test_a_report_cannot_be_passed_off_as_a_certificate(copied: Path, key: Path, allowed: Path) -> None:
    sign_as(copied, key, "dgxcert-report")
    assert refused(copied, allowed) == "it says that it is a certificate, and was signed as 'dgxcert-report'"


def sign_as(path: Path, key: Path, namespace: str) -> None:
    path.with_name(path.name + ".sig").unlink()
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, path], check=True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("verdict", "REJECTED", "calls itself a certificate of a run that ended REJECTED"),
        ("evidence_sha256", "0" * 64, "its digest of all evidence"),
        ("subject", [], "it vouches for no run.json and no records.jsonl"),
    ],
)
def test_a_statement_that_contradicts_itself_is_refused_whoever_signed_it(
    copied: Path, key: Path, allowed: Path, field: str, value: object, words: str
) -> None:
    statement = json.loads(copied.read_text(encoding="utf-8"))
    (statement if field in statement else statement["predicate"]["dgxcert"])[field] = value
    copied.write_text(json.dumps(statement), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert words in refused(copied, allowed)


def test_an_expired_one_is_refused(signed: Path, allowed: Path) -> None:
    ends = datetime(2027, 11, 23, 18, 40, 12, tzinfo=UTC)
    assert signed_run.verify(signed, allowed, ends - timedelta(seconds=1)).certifies
    assert refused(signed, allowed, ends) == "it expired on 2027-11-23 18:40 UTC"


def test_one_from_the_future_is_refused(signed: Path, allowed: Path) -> None:
    assert "which is to come" in refused(signed, allowed, NOW - timedelta(days=1))


@pytest.mark.parametrize("name", ["spark-07", "1420525001234", "GPU-5b1f0c1d"])
def test_its_machine_is_known_by_each_of_its_names(signed: Path, allowed: Path, name: str) -> None:
    assert signed_run.verify(signed, allowed, LATER, machine=name).certifies


def test_one_for_another_machine_is_refused(signed: Path, allowed: Path) -> None:
    assert "it is for another machine" in refused(signed, allowed, machine="spark-08")


SPELLINGS = {
    "other line ends": lambda text: text.replace("\n", "\r\n"),
    "a line more": lambda text: text + "\n",
    "a blank before": lambda text: " " + text,
    "a blank within": lambda text: text[:100] + " " + text[100:],
    "longer lines": lambda text: text.replace("\n", "", 3).replace("SIGNATURE-----", "SIGNATURE-----\n", 1),
    "nothing": lambda _: "",
    "no ASCII": lambda _: "µ",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_signature_in_any_other_spelling_is_refused(copied: Path, allowed: Path, spelling: str) -> None:
    """ssh-keygen's own reader takes most of these."""
    path = copied.with_name(copied.name + ".sig")
    path.write_bytes(SPELLINGS[spelling](path.read_text(encoding="ascii")).encode())
    assert "was changed" in refused(copied, allowed)


def test_a_missing_signature_is_refused(copied: Path, allowed: Path) -> None:
    copied.with_name(copied.name + ".sig").unlink()
    assert "there is no signature" in refused(copied, allowed)


def test_of_a_thousand_random_changes_none_is_taken(copied: Path, allowed: Path) -> None:
    chance = random.Random(20261126)
    paths = [copied, copied.with_name(copied.name + ".sig"), *(p for p in copied.parent.rglob("*") if p.is_file())]
    signed_run.verify(copied, allowed, LATER)
    for number in range(1000):
        path = paths[number % 2] if number % 4 < 3 else chance.choice(paths)
        before = path.read_bytes()
        path.write_bytes(mutated(before, chance))
        try:
            refused(copied, allowed)
        finally:
            path.write_bytes(before)
    signed_run.verify(copied, allowed, LATER)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One byte changed, taken out, put in or doubled, or two swapped; never the same as before."""
    at, other = chance.randrange(len(content)), chance.randrange(len(content))
    kind = chance.randrange(4)
    new = bytearray(content)
    if kind == 0:
        new[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del new[at]
    elif kind == 2:
        new.insert(at, chance.randrange(256))
    else:
        new[at], new[other] = new[other], new[at]
    return bytes(new) if new != content else mutated(content, chance)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_every_kind_of_key_signs(kind: str, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", kind=kind)
    path = signed_run.sign(folder(tmp_path), key, 365, NOW, lambda _: None)
    assert signed_run.verify(path, list_of(tmp_path / "allowed", key), LATER).certifies


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh-agent of this test's own."""
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
    assert signed_run.verify(path, list_of(tmp_path / "allowed", key), LATER).certifies


@pytest.mark.usefixtures("agent")
def test_a_public_key_that_no_agent_holds_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    key.unlink()
    made = folder(tmp_path)
    with pytest.raises(CannotStart) as raised:
        signed_run.sign(made, key.with_suffix(".pub"), 365, NOW, lambda _: None)
    assert "Nothing was signed" in raised.value.problem
    assert "ssh-add" in str(raised.value)
    assert not list(made.glob("certificate*"))


def test_a_wrong_passphrase_says_so_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key", passphrase="a long one")
    asked = tmp_path / "asked"
    asked.write_text("#!/bin/sh\necho another one\n", encoding="ascii")
    asked.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(asked))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    made = folder(tmp_path)
    with pytest.raises(CannotStart) as raised:
        signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert "incorrect passphrase" in raised.value.problem
    assert "Type the key's passphrase" in str(raised.value)
    assert not list(made.glob("certificate*"))


def test_a_passphrase_is_asked_for_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path / "key", passphrase="a long one")
    asked = tmp_path / "asked"
    asked.write_text("#!/bin/sh\necho a long one\n", encoding="ascii")
    asked.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(asked))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    path = signed_run.sign(folder(tmp_path), key, 365, NOW, lambda _: None)
    assert signed_run.verify(path, list_of(tmp_path / "allowed", key), LATER).certifies


def test_a_missing_ssh_keygen_is_no_refusal(signed: Path, key: Path, allowed: Path, tmp_path: Path) -> None:
    made = folder(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(CannotStart, match="ssh-keygen was not found, so nothing was verified"):
            signed_run.verify(signed, allowed, LATER)
        with pytest.raises(CannotStart, match="ssh-keygen was not found"):
            signed_run.sign(made, key, 365, NOW, lambda _: None)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("nonsense\n", "is no list of allowed signers"), ("", "does not list")],
)
def test_a_wrong_list_of_signers_says_so(signed: Path, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "allowed"
    if content is not None:
        path.write_text(content, encoding="ascii")
    with pytest.raises((CannotStart, Refused)) as raised:
        signed_run.verify(signed, path, LATER)
    assert words in str(raised.value)


def test_a_missing_key_says_so(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="There is no key"):
        signed_run.sign(folder(tmp_path), tmp_path / "none", 365, NOW, lambda _: None)


def test_only_a_certified_run_becomes_a_certificate(tmp_path: Path, key: Path, allowed: Path) -> None:
    path = signed_run.sign(folder(tmp_path, FULL), key, 365, NOW, lambda _: None)
    found = signed_run.verify(path, allowed, LATER)
    assert path.name == "signed-report.json"
    assert not found.certifies
    assert found.statement.ours.says.startswith("This is a signed report, not a certificate. REJECTED")
    assert found.statement.predicate.result == "FAILED"
    assert found.statement.predicate.failed == ("DISK-SPACE",)


@pytest.mark.parametrize(
    ("modified", "note"), [(True, "the suite was changed"), (None, "git does not tell which commit this suite is")]
)
def test_a_suite_with_local_changes_or_of_no_known_commit_certifies_nothing(
    tmp_path: Path, key: Path, modified: bool | None, note: str
) -> None:
    changed = Suite(version="0.1.0", commit="abc", modified=modified, sha256="00")
    made = folder(tmp_path, suite=changed)
    assert runs.load(made).judgement.verdict.value == "REHEARSED"
    assert any(note in each for each in runs.load(made).notes)
    assert signed_run.sign(made, key, 365, NOW, lambda _: None).name == "signed-report.json"


def test_a_waiver_is_on_the_certificate_and_ends_it(tmp_path: Path, key: Path, allowed: Path) -> None:
    waiver = Waiver(
        requirement="DISK-SPACE", machine="spark-07", reason="NFS", who="Ada Lovelace", until=date(2026, 12, 31)
    )
    path = signed_run.sign(folder(tmp_path, FULL, waivers=(waiver,)), key, 365, NOW, lambda _: None)
    found = signed_run.verify(path, allowed, datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert found.certifies
    assert found.statement.ours.waivers == (waiver,)
    assert "on this machine, except 1 that is waived" in found.statement.ours.says
    assert found.statement.predicate.result == "WARNED"
    assert "it expired on 2026-12-31" in refused(path, allowed, datetime(2027, 1, 1, tzinfo=UTC))


def test_a_verdict_that_somebody_wrote_into_a_file_is_not_signed(tmp_path: Path, key: Path) -> None:
    made = folder(tmp_path, FULL)
    path = made / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("REJECTED", "CERTIFIED"), encoding="utf-8")
    with pytest.raises(CannotStart, match=r"is not what records.jsonl tells: judgement differ"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)


def test_a_report_that_was_edited_is_rebuilt_before_signing(tmp_path: Path, key: Path) -> None:
    made = folder(tmp_path, FULL)
    report.write_all(runs.load(made), made)
    before = (made / "report.html").read_bytes()
    (made / "report.html").write_text("CERTIFIED", encoding="utf-8")
    signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert (made / "report.html").read_bytes() == before


def test_what_is_signed_is_not_signed_over(signed: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="is there already"):
        signed_run.sign(signed.parent, key, 365, NOW, lambda _: None)


def test_a_run_that_is_too_old_is_not_signed(tmp_path: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="It would have expired on"):
        signed_run.sign(folder(tmp_path), key, 2, NOW, lambda _: None)


def test_the_commands_sign_verify_and_say_by_their_exit_codes_what_holds(
    tmp_path: Path, key: Path, allowed: Path
) -> None:
    made, other = folder(tmp_path / "a"), folder(tmp_path / "b", FULL)
    call = CliRunner().invoke
    done = call(app, ["sign", str(made), "--key", str(key), "--days", "3650"])
    assert done.exit_code == 0, done.output
    assert "CERTIFIED: every requirement" in done.output
    verified = call(app, ["verify", str(made / "certificate.json"), "--allowed-signers", str(allowed)])
    assert (verified.exit_code, verified.output.splitlines()[-1]) == (0, "VERIFIED")
    for words in ("ada@lab", "spark-07", "GPU-5b1f0c1d", "valid until"):
        assert words in verified.output
    call(app, ["sign", str(other), "--key", str(key), "--days", "3650"])
    reported = call(app, ["verify", str(other / "signed-report.json"), "--allowed-signers", str(allowed)])
    assert (reported.exit_code, reported.output.splitlines()[-1]) == (
        2,
        "signature valid; this is a report, not a certificate",
    )
    (made / "run.json").write_text("{}", encoding="utf-8")
    changed = call(app, ["verify", str(made / "certificate.json"), "--allowed-signers", str(allowed)])
    assert changed.exit_code == 1
    assert "REFUSED: run.json was changed after it was signed" in changed.output


def test_a_folder_in_place_of_the_file_is_named(signed: Path, allowed: Path) -> None:
    with pytest.raises(CannotStart) as raised:
        signed_run.verify(signed.parent, allowed, LATER)
    assert os.fspath(signed) in str(raised.value)
