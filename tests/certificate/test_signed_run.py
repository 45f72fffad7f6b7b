"""A signed run is valid only as a whole: a changed, missing or expired part, or another machine, is refused by name."""

import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from suites.certified import folder
from suites.signing import FULL, LATER, NOW, refusal, sign_as

from dgxcert import report
from dgxcert.certificate import signed_run
from dgxcert.certificate.signed_run import Verified
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs


def test_a_certificate_has_signer_machine_and_dates(signed: Path, allowed: Path) -> None:
    verified = signed_run.verify(signed, allowed, LATER, machine="spark-07")
    extension = verified.statement.extension
    assert isinstance(verified, Verified)
    assert verified.certifies
    assert verified.signer.principal == "ada@lab"
    assert verified.signer.fingerprint.startswith("SHA256:")
    assert (extension.machine.hostname, extension.machine.gpus[0].uuid) == ("spark-07", "GPU-5b1f0c1d")
    assert (extension.issued, extension.expires) == (NOW, datetime(2027, 11, 23, 18, 40, 12, tzinfo=UTC))
    assert verified.uncovered == ()
    assert {subject.name for subject in verified.statement.subject} == {
        *("run.json", "records.jsonl", "junit.xml", "summary.md", "report.html", "metrics.prom"),
        "logs/container-1.log",
    }


def test_a_certificate_is_valid_where_a_word_of_it_is_a_secret(
    signed: Path, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "spark-07")
    assert signed_run.verify(signed, allowed, LATER, machine="spark-07").certifies


def test_a_run_that_holds_a_secret_of_this_machine_is_not_signed(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path)
    monkeypatch.setenv("DATABASE_PASSWORD", "spark-07")
    with pytest.raises(CannotStart, match="holds a secret that is set on this machine"):
        signed_run.sign(run, key, 365, NOW, lambda _: None)
    assert not (run / "certificate.json").exists()


def test_a_certificate_carries_the_last_hash_of_its_record(signed: Path) -> None:
    last = (signed.parent / "records.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert signed_run.read(signed, NOW).extension.record_hash == json.loads(last)["hash"]


def test_a_statement_from_before_the_hash_still_verifies(copied: Path, key: Path, allowed: Path) -> None:
    content = json.loads(copied.read_text(encoding="utf-8"))
    del content["predicate"]["dgxcert"]["record_hash"]
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert signed_run.verify(copied, allowed, LATER).certifies


@pytest.mark.parametrize("name", ["run.json", "records.jsonl", "report.html", "logs/container-1.log", "summary.md"])
def test_a_changed_file_is_refused_by_name(copied: Path, allowed: Path, name: str) -> None:
    path = copied.parent / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert refusal(copied, allowed) == f"{name} was changed after signing"


def test_a_missing_file_is_refused_by_name(copied: Path, allowed: Path) -> None:
    (copied.parent / "records.jsonl").unlink()
    assert refusal(copied, allowed) == "records.jsonl, which it covers, is missing"


def test_an_added_file_is_reported_as_not_covered(copied: Path, allowed: Path) -> None:
    (copied.parent / "report-new.html").write_text("CERTIFIED", encoding="utf-8")
    assert signed_run.verify(copied, allowed, LATER).uncovered == ("report-new.html",)


def test_a_changed_statement_is_refused(copied: Path, allowed: Path) -> None:
    text = copied.read_text(encoding="utf-8")
    copied.write_text(text.replace("2027-11-23", "2037-11-23"), encoding="utf-8")
    assert "was changed after signing" in refusal(copied, allowed)


def test_a_report_cannot_be_presented_as_a_certificate(copied: Path, key: Path, allowed: Path) -> None:
    sign_as(copied, key, "dgxcert-report")
    assert refusal(copied, allowed) == "it claims to be a certificate, but was signed as 'dgxcert-report'"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("verdict", "REJECTED", "claims to be a certificate, but the verdict of its run is REJECTED"),
        ("evidence_sha256", "0" * 64, "its evidence digest"),
        ("subject", [], "it does not cover run.json and records.jsonl"),
    ],
)
def test_a_statement_that_contradicts_itself_is_refused_despite_a_valid_signature(
    copied: Path, key: Path, allowed: Path, field: str, value: object, words: str
) -> None:
    statement = json.loads(copied.read_text(encoding="utf-8"))
    (statement if field in statement else statement["predicate"]["dgxcert"])[field] = value
    copied.write_text(json.dumps(statement), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert words in refusal(copied, allowed)


def test_an_expired_certificate_is_refused(signed: Path, allowed: Path) -> None:
    expires = datetime(2027, 11, 23, 18, 40, 12, tzinfo=UTC)
    assert signed_run.verify(signed, allowed, expires - timedelta(seconds=1)).certifies
    assert refusal(signed, allowed, expires) == "it expired on 2027-11-23 18:40 UTC"


def test_a_certificate_from_the_future_is_refused(signed: Path, allowed: Path) -> None:
    assert "in the future" in refusal(signed, allowed, NOW - timedelta(days=1))


@pytest.mark.parametrize("name", ["spark-07", "1420525001234", "GPU-5b1f0c1d"])
def test_its_machine_is_known_by_each_of_its_names(signed: Path, allowed: Path, name: str) -> None:
    assert signed_run.verify(signed, allowed, LATER, machine=name).certifies


def test_a_certificate_of_another_machine_is_refused(signed: Path, allowed: Path) -> None:
    assert "it is for another machine" in refusal(signed, allowed, machine="spark-08")


def test_a_thousand_random_changes_are_all_refused(copied: Path, allowed: Path) -> None:
    chance = random.Random(20261126)
    paths = [copied, copied.with_name(copied.name + ".sig"), *(p for p in copied.parent.rglob("*") if p.is_file())]
    signed_run.verify(copied, allowed, LATER)
    for number in range(1000):
        path = paths[number % 2] if number % 4 < 3 else chance.choice(paths)
        before = path.read_bytes()
        path.write_bytes(mutated(before, chance))
        try:
            refusal(copied, allowed)
        finally:
            path.write_bytes(before)
    signed_run.verify(copied, allowed, LATER)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One bit flipped, one byte removed or inserted, or two swapped; never the same as before."""
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


def test_an_edited_verdict_is_not_signed(tmp_path: Path, key: Path) -> None:
    made = folder(tmp_path, FULL)
    path = made / "run.json"
    edited = (
        path.read_text(encoding="utf-8").replace("REJECTED", "CERTIFIED").replace('"exit_code": 1', '"exit_code": 0')
    )
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"does not match records.jsonl: they differ in judgement"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)


def test_a_report_that_was_edited_is_rebuilt_before_signing(tmp_path: Path, key: Path) -> None:
    made = folder(tmp_path, FULL)
    report.write_all(runs.load(made), made)
    before = (made / "report.html").read_bytes()
    (made / "report.html").write_text("CERTIFIED", encoding="utf-8")
    signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert (made / "report.html").read_bytes() == before


def test_a_signed_run_is_not_signed_again(signed: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="already exists"):
        signed_run.sign(signed.parent, key, 365, NOW, lambda _: None)


def test_a_run_that_is_too_old_is_not_signed(tmp_path: Path, key: Path) -> None:
    with pytest.raises(CannotStart, match="It would have expired on"):
        signed_run.sign(folder(tmp_path), key, 2, NOW, lambda _: None)


def test_a_folder_in_place_of_the_file_is_named(signed: Path, allowed: Path) -> None:
    with pytest.raises(CannotStart) as raised:
        signed_run.verify(signed.parent, allowed, LATER)
    assert os.fspath(signed) in str(raised.value)
