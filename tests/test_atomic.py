"""A file appears whole or not at all; where the disk refuses, the older version stays and nothing else is left."""

import os
import stat
from pathlib import Path

import pytest
from suites import disk

from dgxcert.atomic import write_text
from dgxcert.outcome import CannotStart


def test_a_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "first µ\n")
    write_text(tmp_path / "run.json", "second")
    assert (tmp_path / "run.json").read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["run.json"]


def test_everybody_may_read_a_report(tmp_path: Path) -> None:
    write_text(tmp_path / "summary.md", "")
    assert stat.S_IMODE((tmp_path / "summary.md").stat().st_mode) == 0o644


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_text(path, "first")
    with path.open() as reader:
        write_text(path, "second")
        assert reader.read() == "first"


def test_a_full_disk_leaves_the_older_version_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "run.json", "older")
    with disk.with_room_up_to(100), pytest.raises(CannotStart, match="cannot be written: File too large") as refused:
        write_text(tmp_path / "run.json", "x" * 5000)
    assert (tmp_path / "run.json").read_text() == "older"
    assert os.listdir(tmp_path) == ["run.json"]
    assert f"--resume {tmp_path}" in str(refused.value)


@pytest.mark.parametrize("place", ["missing/run.json", "file/run.json"])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match=f"{place} cannot be written"):
        write_text(tmp_path / place, "text")


def test_a_folder_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(CannotStart, match="Is a directory"):
        write_text(tmp_path / "run.json", "text")
    assert os.listdir(tmp_path) == ["run.json"]
