"""A file that is being written: a name that leads elsewhere and a full disk are seen before anything is lost."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from suites import disk

from dgxcert.files import place


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda path: path.unlink(),
        lambda path: shutil.rmtree(path.parent),
        lambda path: path.parent.rename(path.parent.with_name("moved")),
        lambda path: os.replace(path, path.with_name("other")),
        lambda path: (path.unlink(), path.write_text("another")),
        lambda path: (path.rename(path.with_name("other")), path.symlink_to("other")),
    ],
    ids=["removed", "folder removed", "folder moved", "moved", "replaced", "replaced by a link"],
)
def test_a_file_that_is_no_longer_in_its_place_is_seen(meanwhile: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "run" / "records.jsonl"
    path.parent.mkdir()
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    place.require_in_place(file, path)
    meanwhile(path)
    with pytest.raises(FileNotFoundError):
        place.require_in_place(file, path)
    os.close(file)


def test_reserved_space_does_not_change_a_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"line\n")
    with path.open("ab") as file:
        place.reserve(file.fileno(), 8192)
        file.write(b"next\n")
    assert path.read_bytes() == b"line\nnext\n"


def test_a_folder_that_takes_no_more_is_told(tmp_path: Path) -> None:
    place.require_writable(tmp_path)
    with disk.limit_file_size(1000), pytest.raises(OSError, match="File too large"):
        place.require_writable(tmp_path)
    with pytest.raises(FileNotFoundError):
        place.require_writable(tmp_path / "removed")
    assert os.listdir(tmp_path) == []
