"""A bundle holds all evidence, and no token, user name or home path; no host name either where that is asked for."""

import gzip
import tarfile
from pathlib import Path

import pytest
from suites.certified import SPARK, folder
from suites.example import finished

from dgxcert.certificate import bundle
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import run as runs

TOKENS = {
    "Hugging Face": "hf_abcdefghijklmnopqrstuvwxyz012345",
    "NGC": "nvapi-abcdefghijklmnopqrstuvwxyz0123",
    "GitHub": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AWS": "AKIAABCDEFGHIJKLMNOP",
    "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "password": "hunter2hunter2",
}


LOG = f"""GET https://ada:{TOKENS["password"]}@hub.lab/x Authorization: Bearer {TOKENS["bearer"]}
HF_TOKEN={TOKENS["Hugging Face"]} ngc {TOKENS["NGC"]} {TOKENS["GitHub"]} {TOKENS["AWS"]}
/home/lovelace/models and /Users/grace/x, run by lovelace on spark-07 with the nvidia driver
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    ending = finished("DISK-SPACE", Outcome.FAILED, reason="no space in /home/lovelace\nlovelace: 12 GiB")
    made = folder(tmp_path / "results", ending)
    (made / "logs" / "container-1.log").write_text(LOG, encoding="utf-8")
    return made


def content(packed: bundle.Bundle) -> str:
    return "\n".join([packed.name, *(file.name + file.content.decode() for file in packed.files)])


def test_tokens_users_and_homes_are_redacted(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=False))
    for name, secret in TOKENS.items():
        assert secret not in text, name
    for name in ("lovelace", "grace"):
        assert name not in text
    assert "nvidia driver" in text, "the account `nvidia` is also an ordinary word of a log"
    assert "spark-07" in text


def test_the_host_name_is_redacted_with_hide_host(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=True))
    assert "spark-07" not in text
    assert "[host]" in text


def test_a_bundle_is_still_a_run_folder(made: Path, tmp_path: Path) -> None:
    packed = bundle.prepare(made, None, hide_host=True)
    bundle.write(packed, tmp_path / "case.tar.gz")
    with tarfile.open(tmp_path / "case.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
        assert {member.uid for member in archive.getmembers()} == {0}
        assert {member.uname for member in archive.getmembers()} == {""}
    run = runs.load(next((tmp_path / "out").iterdir()))
    assert run.judgement.verdict == "REJECTED"
    assert run.machine.hostname == "[host]"
    assert "no space in /home/[user]\n[user]: 12 GiB" in next(r.reason for r in run.results if r.key == "DISK-SPACE")


def test_the_driver_report_is_unpacked_and_redacted(made: Path, tmp_path: Path) -> None:
    report = tmp_path / "nvidia-bug-report.log.gz"
    report.write_bytes(gzip.compress(b"uname: spark-07 /home/lovelace NVRM: Xid 79"))
    packed = bundle.prepare(made, report, hide_host=False)
    (file,) = [file for file in packed.files if file.name == "driver/nvidia-bug-report.log"]
    assert file.content == b"uname: spark-07 /home/[user] NVRM: Xid 79"


def test_a_truncated_driver_report_is_named(made: Path, tmp_path: Path) -> None:
    report = tmp_path / "nvidia-bug-report.log.gz"
    report.write_bytes(gzip.compress(b"x" * 1000)[:-20])
    with pytest.raises(CannotStart, match="cannot be read"):
        bundle.prepare(made, report, hide_host=False)


def test_what_cannot_be_redacted_is_excluded_by_name(made: Path) -> None:
    (made / "core").write_bytes(b"\x7fELF\xff\xfe")
    (made / "link").symlink_to("/etc/passwd")
    (made / "certificate.json").write_text("{}", encoding="utf-8")
    packed = bundle.prepare(made, None, hide_host=False)
    excluded = "\n".join(packed.excluded)
    for name in ("core: it is not text", "link: it is not a plain file", "certificate.json: a redacted file"):
        assert name in excluded
    assert not {"core", "link", "certificate.json"} & {file.name for file in packed.files}
    assert "nvidia-bug-report.sh" in excluded


def test_serial_number_gpu_and_driver_stay(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=True))
    for words in (SPARK.serial or "", SPARK.gpus[0].uuid, "580.95.05"):
        assert words in text
