"""Room is measured where images and models lie, also before that folder exists; what cannot be looked at is no room."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import disk, docker_engine

GIB = 1024**3


def room(free_gib: float) -> SimpleNamespace:
    """What statvfs answers: blocks of 4 KiB, of which root could use 5 GiB more than an ordinary user."""
    blocks = int(free_gib * GIB / 4096)
    return SimpleNamespace(f_frsize=4096, f_bsize=1024 * 1024, f_bavail=blocks, f_bfree=blocks + 5 * GIB // 4096)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float | OSError]], list[str]]:
    """Play disks by folder; what is not named is not there. Returns the folders that are asked about."""

    def play(there: dict[str, float | OSError]) -> list[str]:
        asked: list[str] = []

        def statvfs(path: Path) -> SimpleNamespace:
            asked.append(str(path))
            found = there.get(str(path), FileNotFoundError(2, "No such file or directory"))
            if isinstance(found, OSError):
                raise found
            return room(found)

        monkeypatch.setattr(os, "statvfs", statvfs)
        return asked

    return play


def engine_at(root: str) -> docker_engine.Engine:
    return docker_engine.Engine("unix:///x", "29", 53, 44, 45, 24, "aarch64", root, False, ())


def test_room_is_what_an_ordinary_user_may_fill(disks: Callable[..., list[str]]) -> None:
    disks({"/data": 61.5})
    assert disk.measure(Path("/data")) == disk.Disk("/data", 61.5)


def test_a_folder_that_is_not_there_yet_is_measured_where_it_will_lie(disks: Callable[..., list[str]]) -> None:
    asked = disks({"/data": 300.0, "/": 7.0})
    assert disk.measure(Path("/data/models/hub")) == disk.Disk("/data/models/hub", 300.0)
    assert asked == ["/data/models/hub", "/data/models", "/data"]


def test_a_folder_of_the_engine_that_only_root_may_enter_is_measured_from_above(
    disks: Callable[..., list[str]],
) -> None:
    disks({"/var/lib/docker/overlay2": PermissionError(13, "Permission denied"), "/var/lib/docker": 42.0, "/": 7.0})
    assert disk.measure(Path("/var/lib/docker/overlay2")).free_gib == 42.0


@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), OSError(116, "Stale file handle"), NotADirectoryError(20, "Not a directory")],
    ids=["broken disk", "lost network disk", "a file in the way"],
)
def test_a_disk_that_does_not_answer_is_inconclusive_though_the_one_above_has_room(
    disks: Callable[..., list[str]], error: OSError
) -> None:
    disks({"/data": error, "/": 900.0})
    with pytest.raises(Inconclusive, match=f"/data cannot be looked at: {error.strerror}") as raised:
        disk.measure(Path("/data/models"))
    assert raised.value.remedy == ("Try: df -h /data",)


def test_where_no_folder_may_be_looked_at_nothing_was_measured(disks: Callable[..., list[str]]) -> None:
    disks({"/": PermissionError(13, "Permission denied")})
    with pytest.raises(Inconclusive, match="no folder above /data/models can be looked at"):
        disk.measure(Path("/data/models"))


def test_a_real_disk_has_some_room(tmp_path: Path) -> None:
    found = disk.measure(tmp_path / "not" / "there")
    whole = os.statvfs(tmp_path)
    assert 0 < found.free_gib <= whole.f_blocks * whole.f_frsize / GIB


def test_with_an_engine_the_room_is_where_its_images_lie(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    disks({"/raid/docker": 3000.0, "/": 7.0})
    monkeypatch.setattr(docker_engine, "reach", lambda: engine_at("/raid/docker"))
    assert disk.read() == disk.Disk("/raid/docker", 3000.0)


@pytest.mark.parametrize(
    ("hub_home", "where"),
    [(None, "/home/lab/.cache/huggingface"), ("", "/home/lab/.cache/huggingface"), ("~/models", "/home/lab/models")],
)
def test_without_an_engine_the_room_is_where_models_are_kept(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, hub_home: str | None, where: str
) -> None:
    monkeypatch.setenv("HOME", "/home/lab")
    monkeypatch.delenv("HF_HOME", raising=False)
    if hub_home is not None:
        monkeypatch.setenv("HF_HOME", hub_home)
    disks({"/home/lab": 80.0, "/": 7.0})
    monkeypatch.setattr(docker_engine, "reach", lambda: docker_engine.silent("unix:///x"))
    assert disk.read() == disk.Disk(where, 80.0)
