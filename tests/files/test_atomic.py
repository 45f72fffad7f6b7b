"""A file appears whole or not at all; if the write fails, the existing file stays and no temporary file is left."""

import os
import signal
import stat
from pathlib import Path

import pytest
from suites import disk

from dgxcert.files.atomic import SHARED, write_text
from dgxcert.outcome import CannotStart


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "first µ\n")
    write_text(tmp_path / "run.json", "second")
    assert (tmp_path / "run.json").read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o077, 0o600), (0, 0o640)])
def test_a_file_is_not_readable_by_every_user(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "summary.md", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "summary.md").stat().st_mode) == mode


def test_a_file_for_other_accounts_is_readable_by_them(tmp_path: Path) -> None:
    write_text(tmp_path / "metrics.prom", "", mode=SHARED)
    assert stat.S_IMODE((tmp_path / "metrics.prom").stat().st_mode) == 0o644


def test_an_open_reader_keeps_the_earlier_content(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "first")
    with path.open() as reader:
        write_text(path, "second")
        assert reader.read() == "first"


def test_a_full_disk_keeps_the_existing_file_and_leaves_no_other(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "older")
    with disk.limit_file_size(100), pytest.raises(CannotStart, match="cannot be written: File too large") as refused:
        write_text(tmp_path / "run.json", "x" * 5000)
    assert (tmp_path / "run.json").read_text() == "older"
    assert os.listdir(tmp_path) == ["run.json"]
    assert "ulimit -f" in str(refused.value)


@pytest.mark.parametrize("path", ["missing/run.json", "file/run.json"])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match=f"{path} cannot be written"):
        write_text(tmp_path / path, "text")


def test_a_folder_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(CannotStart, match="Is a directory"):
        write_text(tmp_path / "run.json", "text")
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_link_in_the_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "run.json").symlink_to("other")
    write_text(tmp_path / "run.json", "new")
    assert ((tmp_path / "other").read_text(), (tmp_path / "run.json").is_symlink()) == ("kept", False)


def killed_while_writing(path: Path) -> None:
    """Let a process be killed after it has written the temporary file, and before that gets its name."""
    child = os.fork()
    if child == 0:
        os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        write_text(path, "never complete")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_what_a_killed_writer_left_behind_is_removed_by_the_next_one(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "older")
    killed_while_writing(tmp_path / "run.json")
    assert len(os.listdir(tmp_path)) == 2
    write_text(tmp_path / "summary.md", "")
    assert sorted(os.listdir(tmp_path)) == ["run.json", "summary.md"]
    assert (tmp_path / "run.json").read_text() == "older"


def test_the_temporary_file_of_a_writer_at_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.replace

    def meanwhile(*names: str, **folders: int) -> None:
        monkeypatch.setattr(os, "replace", really)
        write_text(tmp_path / "summary.md", "another writer")
        really(*names, **folders)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_text(tmp_path / "run.json", "complete")
    assert (tmp_path / "run.json").read_text() == "complete"
    assert sorted(os.listdir(tmp_path)) == ["run.json", "summary.md"]


@pytest.mark.parametrize("name", [".run.json.0123abcd.new", ".x.0123abcd.new"])
def test_what_only_looks_like_a_temporary_file_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("nowhere")
    write_text(tmp_path / "run.json", "complete")
    assert (tmp_path / name).is_symlink()
