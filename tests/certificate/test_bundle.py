"""A bundle holds all evidence, and no token, user name or home path; no host name either where that is asked for."""

import gzip
import os
import re
import tarfile
from dataclasses import replace
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
    for name in ("core: it is not text", "link: it is a link", "certificate.json: a redacted file"):
        assert name in excluded
    assert not {"core", "link", "certificate.json"} & {file.name for file in packed.files}
    assert "nvidia-bug-report.sh" in excluded


def test_serial_number_gpu_and_driver_stay(made: Path) -> None:
    text = content(bundle.prepare(made, None, hide_host=True))
    for words in (SPARK.serial or "", SPARK.gpus[0].uuid, "580.95.05"):
        assert words in text


def test_the_archive_is_read_back_and_refused_where_a_secret_shows(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bundle.prepare(made, None, hide_host=False)
    monkeypatch.setenv("LAB_TOKEN", "580.95.05-x7Qm2kLp")
    leaky = bundle.File("logs/native-1.log", b"for 580.95.05-x7Qm%32kLp", 0)
    archive = tmp_path / "case.tar.gz"
    with pytest.raises(CannotStart, match=r"logs/native-1\.log still has a secret of this machine") as refused:
        bundle.write(replace(packed, files=(*packed.files, leaky)), archive)
    assert "x7Qm" not in str(refused.value)
    assert not archive.exists()


@pytest.mark.parametrize("text", ["run by lovelace", "open /home/grace/x", r"started by\nlovelace"])
def test_the_archive_is_read_back_and_refused_where_a_name_shows(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LOGNAME", "lovelace")
    packed = bundle.prepare(made, None, hide_host=False)
    leaky = bundle.File("logs/native-1.log", text.encode(), 0)
    archive = tmp_path / "case.tar.gz"
    with pytest.raises(CannotStart, match=r"native-1\.log still has the name of a user, a home or the host after"):
        bundle.write(replace(packed, files=(*packed.files, leaky)), archive)
    assert not archive.exists()


def test_a_bundle_of_a_run_with_every_spelling_is_clean(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_TOKEN", "Xq7PlantedSecret99zz")
    log = "\n".join(
        (LOG, "Xq7Planted", "Secret99zz", "WHE3UGxhbnRlZFNlY3JldDk5eno=", '{"token": ["abc"]}', "password: x7Qm2k")
    )
    (made / "logs" / "native-9.log").write_text(log, encoding="utf-8")
    bundle.write(bundle.prepare(made, None, hide_host=False), tmp_path / "case.tar.gz")


def test_names_in_the_archive_are_our_own(made: Path) -> None:
    (made / "hf_abcdefghijklmnopqrstuvwxyz012345.txt").write_text("x", encoding="utf-8")
    (made / "run.json").write_text(
        (made / "run.json").read_text(encoding="utf-8").replace("spark-07", "../../etc"), encoding="utf-8"
    )
    packed = bundle.prepare(made, None, hide_host=False)
    assert re.fullmatch(r"dgxcert-bundle-[0-9a-f]{12}", packed.name)
    assert "other/001.txt" in {file.name for file in packed.files}
    assert "hf_abc" not in "\n".join(packed.listing())


def test_the_same_run_gives_the_same_bytes_that_only_its_group_may_read(made: Path, tmp_path: Path) -> None:
    packed = bundle.prepare(made, None, hide_host=False)
    for name in ("a", "b"):
        bundle.write(packed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not (tmp_path / "a").stat().st_mode & 0o027


def test_the_archive_neither_lies_in_the_run_nor_replaces_a_file(made: Path, tmp_path: Path) -> None:
    packed = bundle.prepare(made, None, hide_host=False)
    with pytest.raises(CannotStart, match="in the run that it packs"):
        bundle.write(packed, made / "logs" / "case.tar.gz")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart, match="already exists"):
        bundle.write(packed, tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_fifo_and_a_large_file_are_named_and_not_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST_FILE", 200_000)
    os.mkfifo(made / "fifo.log")
    (made / "large.log").write_bytes(b"x" * 200_001)
    excluded = "\n".join(bundle.prepare(made, None, hide_host=False).excluded)
    assert "fifo.log: it is a FIFO" in excluded
    assert "large.log: it has 200001 bytes" in excluded
