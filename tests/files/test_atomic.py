"""A file appears whole or not at all; if the write fails, the existing file stays and no temporary file is left."""

import os
import stat
from pathlib import Path

import pytest
from suites import disk

from dgxcert.files.atomic import write_text
from dgxcert.outcome import CannotStart


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "first µ\n")
    write_text(tmp_path / "run.json", "second")
    assert (tmp_path / "run.json").read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_file_is_readable_by_every_user(tmp_path: Path) -> None:
    write_text(tmp_path / "summary.md", "")
    assert stat.S_IMODE((tmp_path / "summary.md").stat().st_mode) == 0o644


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
    assert f"--resume {tmp_path}" in str(refused.value)


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
