"""What a host packed: its runs and its log arrive whole or not at all, and nothing else does."""

import io
import tarfile
from pathlib import Path

import pytest

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.room.conduct import unpack

RUN = "2026-12-01T02-00-00Z-a"


def archive(path: Path, files: dict[str, str], *special: tarfile.TarInfo) -> Path:
    made = path / "fetched.tgz"
    with tarfile.open(made, "w:gz") as packed:
        for member in special:
            packed.addfile(member)
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o777
            packed.addfile(member, io.BytesIO(text.encode()))
    return made


def test_runs_and_the_log_lie_in_the_hosts_folder(tmp_path: Path) -> None:
    files = {f"results/{RUN}/run.json": "{}", f"results/{RUN}/logs/1.log": "x", "work/log": "output", "rubbish": "r"}
    assert unpack.unpack(archive(tmp_path, files), tmp_path / "a") == RUN
    found = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert found == [f"{RUN}/logs/1.log", f"{RUN}/run.json", "log.txt"]
    assert (tmp_path / "a" / RUN / "run.json").stat().st_mode & 0o777 == 0o640


def test_of_several_runs_the_newest_is_named_and_a_record_alone_is_a_run(tmp_path: Path) -> None:
    files = {"2026-12-01T03-00-00Z-a/records.jsonl": "", f"{RUN}/run.json": "{}"}
    assert unpack.unpack(archive(tmp_path, files), tmp_path / "a") == "2026-12-01T03-00-00Z-a"


def test_a_run_that_was_resumed_replaces_what_was_fetched_before(tmp_path: Path) -> None:
    unpack.unpack(archive(tmp_path, {f"{RUN}/run.json": "old", f"{RUN}/extra": ""}), tmp_path / "a")
    unpack.unpack(archive(tmp_path, {f"{RUN}/run.json": "new"}), tmp_path / "a")
    assert (tmp_path / "a" / RUN / "run.json").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [RUN]
    assert not (tmp_path / "a" / RUN / "extra").exists()


def test_an_archive_without_a_run_names_none(tmp_path: Path) -> None:
    assert unpack.unpack(archive(tmp_path, {"log": "it failed"}), tmp_path / "a") == ""
    assert (tmp_path / "a/log.txt").read_text() == "it failed"


@pytest.mark.parametrize("name", ["../escaped", f"{RUN}/../../escaped"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(unpack.BadArchive):
        unpack.unpack(archive(tmp_path, {name: "x"}), tmp_path / "a")
    assert not list(tmp_path.rglob("escaped"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    link, device = tarfile.TarInfo(f"{RUN}/run.json"), tarfile.TarInfo(f"{RUN}/null")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    device.type = tarfile.CHRTYPE
    assert unpack.unpack(archive(tmp_path, {"log": "x"}, link, device), tmp_path / "a") == ""


def test_an_archive_at_the_top_is_no_run_folder(tmp_path: Path) -> None:
    assert unpack.unpack(archive(tmp_path, {"run.json": "{}"}), tmp_path / "a") == ""


@pytest.mark.parametrize("limit", ["LARGEST", "MOST_FILES"])
def test_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(unpack, limit, 1)
    with pytest.raises(unpack.BadArchive, match="more than"):
        unpack.unpack(archive(tmp_path, {f"{RUN}/run.json": "{}", "log": "x"}), tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00torn", b"no archive"])
def test_what_is_no_archive_is_refused_and_what_was_there_stays(tmp_path: Path, content: bytes) -> None:
    unpack.unpack(archive(tmp_path, {f"{RUN}/run.json": "{}"}), tmp_path / "a")
    (tmp_path / "torn").write_bytes(content)
    with pytest.raises(unpack.BadArchive):
        unpack.unpack(tmp_path / "torn", tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == [RUN]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(CannotWrite, match="No space left"):
        unpack.unpack(archive(tmp_path, {f"{RUN}/run.json": "{}"}), tmp_path / "a")
