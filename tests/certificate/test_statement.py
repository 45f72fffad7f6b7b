"""The statement is in-toto's, names what it is, and is a certificate only for a CERTIFIED run."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from suites.certified import folder, whole
from suites.signing import FULL, LATER, NOW, refusal

from dgxcert.certificate import signed_run
from dgxcert.plan.suite import Suite
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import run as runs
from dgxcert.record.journal import Finished


def test_it_is_an_in_toto_statement_of_a_test_result(signed: Path) -> None:
    content = json.loads(signed.read_text(encoding="utf-8"))
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = content["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["passedTests"] == [ending.key for ending in whole() if isinstance(ending, Finished)]
    assert all(set(each) == {"name", "digest"} for each in predicate["configuration"])
    assert {each["name"].split(" ")[0] for each in predicate["configuration"]} >= {
        "profile",
        "dgxcert",
        "image",
        "lock",
    }


def test_only_a_certified_run_becomes_a_certificate(tmp_path: Path, key: Path, allowed: Path) -> None:
    path = signed_run.sign(folder(tmp_path, FULL), key, 365, NOW, lambda _: None)
    verified = signed_run.verify(path, allowed, LATER)
    assert path.name == "signed-report.json"
    assert not verified.certifies
    assert verified.statement.extension.says.startswith("This is a signed report, not a certificate. REJECTED")
    assert verified.statement.predicate.result == "FAILED"
    assert verified.statement.predicate.failed == ("DISK-SPACE",)


@pytest.mark.parametrize(
    ("modified", "note"), [(True, "the suite was changed"), (None, "it cannot be told whether the suite was changed")]
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
    verified = signed_run.verify(path, allowed, datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert verified.certifies
    assert verified.statement.extension.waivers == (waiver,)
    assert "on this machine, except 1 that is waived" in verified.statement.extension.says
    assert verified.statement.predicate.result == "WARNED"
    assert "it expired on 2026-12-31" in refusal(path, allowed, datetime(2027, 1, 1, tzinfo=UTC))
