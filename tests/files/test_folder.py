"""A folder by its handle: nothing that somebody else puts there makes a file outside of it be read or written."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgxcert.files.folder import Folder
from dgxcert.files.untrusted import UnfitError


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that is nobody's business."""
    path = tmp_path / "precious"
    path.write_text("precious")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "run").mkdir()
    with Folder.opened(tmp_path / "run") as opened:
        yield opened


def a_link(at: Path, outside: Path) -> None:
    at.symlink_to(outside)


def a_dangling_link(at: Path, outside: Path) -> None:
    at.symlink_to(outside.with_name("made"))


def a_relative_link(at: Path, outside: Path) -> None:
    at.symlink_to(Path("..", outside.name))


def a_fifo(at: Path, outside: Path) -> None:
    os.mkfifo(at)


def a_folder(at: Path, outside: Path) -> None:
    at.mkdir()


def a_socket(at: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(at))


PLANTED = [a_link, a_dangling_link, a_relative_link, a_fifo, a_folder, a_socket]
Plant = Callable[[Path, Path], None]


@pytest.mark.parametrize("plant", PLANTED)
def test_a_file_is_never_made_where_something_is_already(folder: Folder, outside: Path, plant: Plant) -> None:
    plant(folder.path / "log", outside)
    with pytest.raises(FileExistsError):
        folder.create("log")
    assert outside.read_text() == "precious"
    assert not outside.with_name("made").exists()


@pytest.mark.parametrize("plant", PLANTED)
def test_nothing_but_a_regular_file_is_read_or_appended_to(folder: Folder, outside: Path, plant: Plant) -> None:
    plant(folder.path / "log", outside)
    with pytest.raises(UnfitError, match="not a regular file"):
        folder.read_bytes("log", at_most=10)
    with pytest.raises(UnfitError, match="not a regular file"):
        folder.append("log")
    assert outside.read_text() == "precious"
    assert not outside.with_name("made").exists()


@pytest.mark.parametrize("plant", [a_link, a_relative_link])
def test_a_link_in_the_place_of_a_folder_is_no_folder(folder: Folder, outside: Path, plant: Plant) -> None:
    plant(folder.path / "logs", outside.parent)
    for make in (False, True):
        with pytest.raises(NotADirectoryError):
            folder.folder("logs", make=make)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        Folder.opened(folder.path / "logs", follow=False)


def test_a_handle_stays_with_its_folder(folder: Folder, outside: Path) -> None:
    with folder.folder("logs", make=True) as logs:
        (folder.path / "logs").rename(folder.path / "moved")
        (folder.path / "logs").symlink_to(outside.parent)
        logs.create("log").close()
    assert [path.name for path in (folder.path / "moved").iterdir()] == ["log"]
    assert not (outside.parent / "log").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../precious", "a/b", "/etc/passwd", "a\0b"])
def test_a_name_is_a_single_one(folder: Folder, name: str) -> None:
    for act in (folder.create, folder.append, folder.folder, folder.discard):
        with pytest.raises(ValueError, match="not the name of one file"):
            act(name)


def test_what_is_made_is_not_for_everybody(folder: Folder) -> None:
    folder.create("log").close()
    folder.folder("logs", make=True).close()
    modes = [path.stat().st_mode & 0o7 for path in folder.path.iterdir()]
    assert modes == [0, 0]


@pytest.mark.parametrize("plant", [plant for plant in PLANTED if plant is not a_folder])
def test_what_is_discarded_is_gone_and_what_it_leads_to_is_not(folder: Folder, outside: Path, plant: Plant) -> None:
    plant(folder.path / "log", outside)
    folder.discard("log")
    folder.discard("log")  # where nothing is, nothing is to be done
    assert list(folder.path.iterdir()) == []
    assert outside.read_text() == "precious"


def test_no_more_is_read_than_asked_for(folder: Folder) -> None:
    (folder.path / "long").write_bytes(b"x" * 11)
    with pytest.raises(UnfitError, match="at most 10 are read"):
        folder.read_bytes("long", at_most=10)
    assert folder.read_bytes("long", at_most=11) == b"x" * 11


def test_lines_are_appended_to_what_is_there(folder: Folder) -> None:
    for line in (b"one\n", b"two\n"):
        with folder.append("log") as file:
            file.write(line)
    assert folder.read_bytes("log", at_most=100) == b"one\ntwo\n"


def test_the_size_is_that_of_all_files_and_of_none_behind_a_link(folder: Folder, outside: Path) -> None:
    outside.write_bytes(b"x" * 4_000_000)
    (folder.path / "away").symlink_to(outside)
    (folder.path / "up").symlink_to(outside.parent)
    (folder.path / "in").mkdir()
    (folder.path / "in" / "file").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= folder.size_bytes(enough=10**9) < 2_000_000
    assert folder.size_bytes(enough=1000) > 1000
