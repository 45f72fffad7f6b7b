"""Free space is measured where images and models are kept, even before that folder exists, or is inconclusive."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import disk

GIB = 1024**3


def status(free_gib: float) -> SimpleNamespace:
    """A result of statvfs: blocks of 4 KiB, of which root could use 5 GiB more than an ordinary user."""
    blocks = int(free_gib * GIB / 4096)
    return SimpleNamespace(f_frsize=4096, f_bsize=1024 * 1024, f_bavail=blocks, f_bfree=blocks + 5 * GIB // 4096)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float | OSError]], list[str]]:
    """Set free space in GiB by folder; other folders do not exist. Returns the folders that are then measured."""

    def play(free: dict[str, float | OSError]) -> list[str]:
        measured: list[str] = []

        def statvfs(path: Path) -> SimpleNamespace:
            measured.append(str(path))
            free_gib = free.get(str(path), FileNotFoundError(2, "No such file or directory"))
            if isinstance(free_gib, OSError):
                raise free_gib
            return status(free_gib)

        monkeypatch.setattr(os, "statvfs", statvfs)
        return measured

    return play


def engine_at(root: str) -> Engine:
    return Engine("unix:///x", "29", 53, 44, 45, 24, "aarch64", root, False, ())


def test_free_space_is_what_an_ordinary_user_may_fill(disks: Callable[..., list[str]]) -> None:
    disks({"/data": 61.5})
    assert disk.measure(Path("/data")) == disk.Disk("/data", 61.5)


def test_a_folder_that_does_not_exist_yet_is_measured_where_it_will_be(disks: Callable[..., list[str]]) -> None:
    measured = disks({"/data": 300.0, "/": 7.0})
    assert disk.measure(Path("/data/models/hub")) == disk.Disk("/data/models/hub", 300.0)
    assert measured == ["/data/models/hub", "/data/models", "/data"]


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
def test_a_disk_that_fails_is_inconclusive_though_the_one_above_has_free_space(
    disks: Callable[..., list[str]], error: OSError
) -> None:
    disks({"/data": error, "/": 900.0})
    with pytest.raises(Inconclusive, match=f"/data cannot be checked: {error.strerror}") as raised:
        disk.measure(Path("/data/models"))
    assert raised.value.remedy == ("Try: df -h /data",)


def test_where_no_folder_can_be_checked_nothing_is_measured(disks: Callable[..., list[str]]) -> None:
    disks({"/": PermissionError(13, "Permission denied")})
    with pytest.raises(Inconclusive, match="no folder above /data/models can be checked"):
        disk.measure(Path("/data/models"))


def test_a_real_disk_has_some_free_space(tmp_path: Path) -> None:
    measured = disk.measure(tmp_path / "missing" / "folder")
    whole = os.statvfs(tmp_path)
    assert 0 < measured.free_gib <= whole.f_blocks * whole.f_frsize / GIB


def test_with_an_engine_the_disk_is_that_of_its_images(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    disks({"/raid/docker": 3000.0, "/": 7.0})
    monkeypatch.setattr(engine_answer, "ask", lambda: engine_at("/raid/docker"))
    assert disk.read() == disk.Disk("/raid/docker", 3000.0)


@pytest.mark.parametrize(
    ("hub_home", "where"),
    [(None, "/home/lab/.cache/huggingface"), ("", "/home/lab/.cache/huggingface"), ("~/models", "/home/lab/models")],
)
def test_without_an_engine_the_disk_is_that_of_the_models(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, hub_home: str | None, where: str
) -> None:
    monkeypatch.setenv("HOME", "/home/lab")
    monkeypatch.delenv("HF_HOME", raising=False)
    if hub_home is not None:
        monkeypatch.setenv("HF_HOME", hub_home)
    disks({"/home/lab": 80.0, "/": 7.0})
    monkeypatch.setattr(engine_answer, "ask", lambda: engine_answer.unresponsive("unix:///x"))
    assert disk.read() == disk.Disk(where, 80.0)
