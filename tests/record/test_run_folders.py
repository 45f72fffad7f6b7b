"""The runs of a results folder are found whatever else lies there; what is odd costs one line with its name."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.record import run_folders


def run(results: Path, name: str) -> Path:
    folder = results / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "records.jsonl").write_text("{}")
    return folder


def names(results: Path) -> list[str]:
    return [each.path.name for each in run_folders.find(results).folders]


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Make a run, then something else in place of one of its files."""

    def change(path: Path) -> None:
        run(path.parent, path.name)
        (path / name).unlink()
        make(path / name)

    return change


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is a FIFO, not a folder"),
        (bind, "it is a socket, not a folder"),
        (lambda path: path.symlink_to("/"), "it is a link to another folder"),
        (lambda path: path.symlink_to(path), "it is a link that leads nowhere"),
        (replaced("run.json", os.mkfifo), "its run.json is a FIFO"),
        (replaced("run.json", Path.mkdir), "its run.json is a folder"),
        (replaced("run.json", lambda path: path.symlink_to("/dev/zero")), "its run.json is a link"),
        (replaced("records.jsonl", os.mkfifo), "its records.jsonl is a FIFO"),
    ],
)
def test_what_is_odd_is_skipped_with_its_name(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    run(tmp_path, "2026-11-23T18-40-12Z-spark-07")
    make(tmp_path / "odd")
    found = run_folders.find(tmp_path)
    assert [each.path.name for each in found.folders] == ["2026-11-23T18-40-12Z-spark-07"]
    assert reason in found.skipped["odd"]


@pytest.mark.parametrize(("name", "shown"), [(b"a\x1b[2J\nb", "a\\x1b[2J\\nb"), (b"a\xff", "a\\udcff")])
def test_a_name_that_no_run_has_is_shown_with_escapes(tmp_path: Path, name: bytes, shown: str) -> None:
    run(tmp_path, os.fsdecode(name))
    assert run_folders.find(tmp_path).skipped == {shown: "its name has control characters, or is not UTF-8"}


def test_what_is_no_concern_of_runs_is_passed_over_in_silence(tmp_path: Path) -> None:
    run(tmp_path, "run")
    (tmp_path / "latest").symlink_to("run")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "baselines").mkdir()
    assert names(tmp_path) == ["run"]
    assert run_folders.find(tmp_path).skipped == {}
    assert run_folders.find(tmp_path / "none").folders == []


def test_a_results_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="Not a directory"):
        run_folders.find(tmp_path / "file")


def test_a_signed_run_and_one_whose_run_json_is_newer_are_closed(tmp_path: Path) -> None:
    folder = run(tmp_path, "run")
    os.utime(folder / "run.json", (1, 1))
    assert not run_folders.find(tmp_path).folders[0].closed
    (folder / "certificate.json").write_text("")
    assert run_folders.find(tmp_path).folders[0].closed
