"""What is in a run folder: regular files through folders alone; everything else by its name and what it is."""

import os
from pathlib import Path

import pytest
from suites.signing import LATER, NOW, refusal

from dgxcert.certificate import bounds, evidence_files, signed_run
from dgxcert.files.untrusted import UnfitError
from dgxcert.outcome import CannotStart


def test_files_are_found_in_folders_and_no_signature_covers_itself(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("run.json", "logs/a.log", "certificate.json", "certificate.json.sig", ".hidden"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    found = evidence_files.contents(tmp_path)
    assert found.unfit == {}
    assert found.files == (".hidden", "certificate.json", "certificate.json.sig", "logs/a.log", "run.json")
    assert list(signed_run.digests(tmp_path)) == ["logs/a.log", "run.json"]


def test_what_is_no_file_of_the_folder_is_named_with_what_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    os.mkfifo(run / "fifo")
    (run / "link").symlink_to("/etc/hostname")
    (tmp_path / "outside").write_text("x", encoding="utf-8")
    os.link(tmp_path / "outside", run / "hard")
    (run / "a").write_text("x", encoding="utf-8")
    os.link(run / "a", run / "b")  # both names are inside
    (run / "e\u0301").write_text("x", encoding="utf-8")
    (run / "x\x1b[2J").write_text("x", encoding="utf-8")
    (run / "Notes").write_text("x", encoding="utf-8")
    (run / "notes").write_text("x", encoding="utf-8")
    found = evidence_files.contents(run)
    assert found.files == ("a", "b")
    assert found.unfit == {
        "fifo": "it is a FIFO",
        "link": "it is a link",
        "hard": "it is a hard link, and has another name outside the folder",
        "e\u0301": "its name is not in Unicode's normal form C",
        "x\x1b[2J": "its name has a control character (U+001B)",
        "Notes": "its name differs only in case from notes",
        "notes": "its name differs only in case from Notes",
    }


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).write_text("x", encoding="utf-8")
    (name,) = evidence_files.contents(tmp_path).names
    assert evidence_files.shown([name]) == "caf\\udce9"
    assert evidence_files.name_problem(name) == "its name is not UTF-8"


def test_too_many_files_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(UnfitError, match="more than 3 files"):
        evidence_files.contents(tmp_path)


def test_a_folder_of_the_path_may_not_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "logs").symlink_to("/etc")
    with pytest.raises(UnfitError, match="logs is a link or a file"):
        evidence_files.read(tmp_path, "logs/hostname", 1000)


def test_a_file_of_ten_terabytes_is_not_hashed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.truncate(10**13)
    with pytest.raises(UnfitError, match="it has 10000000000000 bytes"):
        evidence_files.sha256(tmp_path, "log")
    with pytest.raises(UnfitError, match="it has 10000000000000 bytes"):
        evidence_files.read(tmp_path, "log", 1000)


def test_a_link_in_place_of_evidence_is_refused_and_one_beside_it_named(copied: Path, allowed: Path) -> None:
    (copied.parent / "latest").symlink_to("nowhere")
    (copied.parent / "signed-report.json").write_text("{}", encoding="utf-8")
    uncovered = signed_run.verify(copied, allowed, LATER).uncovered
    assert uncovered == ("latest (it is a link)", "signed-report.json")
    log = copied.parent / "logs" / "container-1.log"
    moved = log.rename(copied.parent.parent / "moved.log")
    log.symlink_to(moved)
    wanted = "logs/container-1.log, which it covers, is not as it was signed: it is a link"
    assert refusal(copied, allowed) == wanted


def test_a_folder_with_a_link_is_not_signed(copied: Path, key: Path) -> None:
    for name in ("certificate.json", "certificate.json.sig"):
        (copied.parent / name).unlink()
    (copied.parent / "latest").symlink_to("nowhere")
    with pytest.raises(CannotStart, match=r"cannot be signed: latest: it is a link.*a copy of the folder"):
        signed_run.sign(copied.parent, key, 365, NOW, lambda _: None)
    assert not copied.exists()
