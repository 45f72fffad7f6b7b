"""Shared memory is what a file in /dev/shm can take, and the remedy depends on why that is too little."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.probes.host import shared_memory
from dgxcert.probes.host.shared_memory import CLOSED, FILES, FULL, MIB, SMALL, SharedMemory

DOCKER = "612 601 0:54 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k,inode64\n"
HOST = "27 23 0:25 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64\n"


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in place of /dev/shm, and a mountinfo that names it."""
    shm = tmp_path / "shm"
    shm.mkdir()
    monkeypatch.setattr(shared_memory, "SHM", shm)
    monkeypatch.setattr(shared_memory, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "mountinfo").write_text(DOCKER.replace("/dev/shm", str(shm)))
    return shm


def sizes(monkeypatch: pytest.MonkeyPatch, total_mib: int, free_mib: int) -> None:
    blocks = SimpleNamespace(f_frsize=4096, f_blocks=total_mib * MIB // 4096, f_bavail=free_mib * MIB // 4096)
    monkeypatch.setattr(shared_memory.os, "statvfs", lambda path: blocks)


CASES = {
    "Docker's own": (64, 64, 64.0, SMALL),
    "enough": (1024, 1000, 1000.0, ()),
    "as much as needed": (166, 166, 166.0, ()),
    "full": (65536, 10, 10.0, FULL),
    "a tmpfs without a limit": (0, 0, 2.0**40, ()),
}


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("case", CASES)
def test_the_remedy_is_by_what_is_short(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    total, free, usable, remedy = CASES[case]
    sizes(monkeypatch, total, free)
    found = shared_memory.read()
    assert (found.usable_mib, found.remedy(at_least_mib=166)) == (usable, remedy)
    assert "tmpfs, rw,nosuid,nodev,noexec,relatime, rw,size=65536k" in found.source


def test_a_folder_that_is_missing_or_closed_offers_nothing(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted.rmdir()
    assert (shared_memory.read().usable_mib, shared_memory.read().remedy(166)) == (0.0, CLOSED)
    mounted.mkdir()

    def refuse(*_: object, **__: object) -> object:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(shared_memory.tempfile, "NamedTemporaryFile", refuse)
    assert "no file can be created there: Read-only file system" in shared_memory.read().source


def test_a_folder_that_is_not_mounted_is_said_to_be_one(mounted: Path, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(HOST)
    assert "not mounted" in shared_memory.read().source
    assert list(mounted.iterdir()) == []


def test_the_last_mount_is_the_visible_one() -> None:
    assert shared_memory.parse(HOST + DOCKER, "/dev/shm").startswith("tmpfs, rw,nosuid,nodev,noexec")
    assert shared_memory.parse("", "/dev/shm") == ""


def test_this_process_may_open_some_files() -> None:
    assert shared_memory.open_files() > 0


@pytest.mark.parametrize(
    ("error", "steps"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that … out of shared memory", SMALL),
        ("unable to open shared memory object </torch_1> in read-write mode: Read-only file system (30), shm", CLOSED),
        ("Too many open files. Communication with the workers is no longer possible.", FILES),
        ("unable to mmap 16 bytes from file </torch_1>: Too many open files (24) shm", FILES),
        ("CUDA error: an illegal memory access was encountered", ()),
    ],
)
def test_what_a_failed_loader_says_chooses_the_steps(error: str, steps: tuple[str, ...]) -> None:
    assert shared_memory.explains(error) == steps


def test_a_shared_memory_that_is_closed_offers_nothing_whatever_its_size() -> None:
    assert SharedMemory(1024.0, 1024.0, "tmpfs", "closed").usable_mib == 0.0
