"""Free space is measured where images and models are kept, even before that folder exists, or is inconclusive."""

import dataclasses
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


def status(free_gib: float, inodes: tuple[int, int] = (1000, 900)) -> SimpleNamespace:
    """A result of statvfs: blocks of 4 KiB, of which root could use 5 GiB more than an ordinary user."""
    blocks = int(free_gib * GIB / 4096)
    total, left = inodes
    return SimpleNamespace(
        f_frsize=4096, f_bsize=1024 * 1024, f_bavail=blocks, f_bfree=blocks + 5 * GIB // 4096, f_files=total,
        f_favail=left,
    )  # fmt: skip


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
        monkeypatch.setattr(disk, "_device", lambda folder: len(str(folder)))
        return measured

    return play


def engine_at(root: str) -> Engine:
    return Engine("unix:///x", "29", 53, 44, 45, 24, "aarch64", root, False, ())


def test_free_space_is_what_an_ordinary_user_may_fill(disks: Callable[..., list[str]]) -> None:
    disks({"/data": 61.5})
    assert disk.measure(Path("/data")) == disk.Disk("/data", 61.5, 900, 5)


def test_a_folder_that_does_not_exist_yet_is_measured_where_it_will_be(disks: Callable[..., list[str]]) -> None:
    measured = disks({"/data": 300.0, "/": 7.0})
    assert disk.measure(Path("/data/models/hub")) == disk.Disk("/data/models/hub", 300.0, 900, 5)
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


@pytest.mark.parametrize(
    ("inodes", "free"), [((1000, 0), 0), ((1000, 7), 7), ((0, 0), disk.UNCOUNTED_INODES)], ids=["none", "some", "btrfs"]
)
def test_inodes_count_where_the_file_system_counts_them(
    monkeypatch: pytest.MonkeyPatch, inodes: tuple[int, int], free: int
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: status(5.0, inodes))
    assert disk.measure(Path("/")).free_inodes == free


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without variables and without models, and no engine."""
    for name in (*disk.MOVED_BY, "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/lab")
    monkeypatch.setenv("TMPDIR", "/scratch")
    monkeypatch.setattr(engine_answer, "ask", lambda: engine_answer.unresponsive("unix:///x"))


EVERYWHERE = {"/raid/docker": 3000.0, "/models": 80.0, "/scratch": 2.0, "/runs": 9.0, "/home": 33.0, "/": 7.0}


def has_engine(monkeypatch: pytest.MonkeyPatch, image_store: str = "") -> None:
    engine = dataclasses.replace(engine_at("/raid/docker"), image_store=image_store)
    monkeypatch.setattr(engine_answer, "ask", lambda: engine)


@pytest.mark.usefixtures("lab")
def test_with_an_engine_models_are_in_its_volumes(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    has_engine(monkeypatch)
    disks(EVERYWHERE)
    found = disk.read(Path("/runs/keep"))
    assert (found.models.path, found.images.path, found.data_sets.path) == ("/raid/docker",) * 3
    assert (found.results.free_gib, found.temporary.free_gib) == (9.0, 2.0)
    assert (found.together.path, found.together.free_gib) == ("/raid/docker", 3000.0)


@pytest.mark.usefixtures("lab")
def test_images_of_containerd_are_on_its_own_disk(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    has_engine(monkeypatch, "/var/lib/containerd")
    disks(EVERYWHERE)
    found = disk.read(Path("/runs"))
    assert (found.images.path, found.images.free_gib, found.models.path) == ("/var/lib/containerd", 7.0, "/raid/docker")
    assert (found.together.path, found.together.free_gib) == ("/raid/docker and /var/lib/containerd", 3007.0)


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({}, "/home/lab/.cache/huggingface/hub"),
        ({"HF_HOME": "/models"}, "/models/hub"),
        ({"HF_HUB_CACHE": "/models/h"}, "/models/h"),
        ({"XDG_CACHE_HOME": "/models"}, "/models/huggingface/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/models/h"}, "/models/h"),
    ],
)
@pytest.mark.parametrize("with_engine", [True, False])
def test_models_are_where_the_variables_say(
    disks: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    where: str,
    with_engine: bool,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if with_engine:
        has_engine(monkeypatch)
    disks(EVERYWHERE)
    found = disk.read(Path("/runs"))
    assert found.models.path == (where if variables or not with_engine else "/raid/docker")
    assert found.images.path == ("/raid/docker" if with_engine else where)


@pytest.mark.usefixtures("lab")
def test_the_fuller_of_two_caches_counts_and_data_sets_have_their_own(
    disks: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.places, "_source_of_transformers", lambda: '"TRANSFORMERS_CACHE"')
    monkeypatch.setenv("HF_HUB_CACHE", "/models")
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/home/small")
    monkeypatch.setenv("HF_DATASETS_CACHE", "/raid/docker/sets")
    disks(EVERYWHERE)
    found = disk.read(Path("/runs"))
    assert (found.models.free_gib, found.data_sets.free_gib) == (33.0, 3000.0)
    assert found.fewest_inodes.free_inodes == 900
