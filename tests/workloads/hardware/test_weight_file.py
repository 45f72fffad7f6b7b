"""A file is loaded cold and verified; one that was not read from a disk is inconclusive."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from paths import ROOT

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import page_cache
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import weight_file

CPU = Device("cpu", 0, "CPU")


def once(_: float) -> bool:
    """One round is enough."""
    return False


@pytest.mark.parametrize("way", ["mmap", "read"])
def test_a_cold_file_is_read_from_disk_verified_and_removed(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, way: str
) -> None:
    where = ROOT / ".pytest_cache"  # a checkout is on a disk, /tmp may be a tmpfs
    where.mkdir(exist_ok=True)
    monkeypatch.setenv("HF_HOME", str(where / "not" / "made" / "yet"))
    workload = weight_file.prepare(CPU, profile, way)
    assert workload.place == where
    before = set(where.iterdir())
    assert page_cache.resident(workload._path) > 0.9, "what was just written is in the page cache"
    workload.run_rounds(once)
    workload.verify(evidence)
    assert workload._file.closed
    assert set(where.iterdir()) == before, "it never had a name"
    assert not evidence.violated
    workload._loaded["3"][7] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_a_file_that_stays_in_the_page_cache_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(page_cache, "drop", lambda path: None)
    workload = weight_file.prepare(CPU, profile, "read")
    with pytest.raises(Inconclusive, match="stayed in the page cache after it was dropped"):
        workload.run_rounds(once)
    assert workload._file.closed, "the file is removed"
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_not_read_from_a_disk_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(page_cache, "resident", lambda path: 0.0)
    monkeypatch.setattr(page_cache, "read_bytes", lambda: 4096)
    workload = weight_file.prepare(CPU, profile, "read")
    workload.run_rounds(once)
    with pytest.raises(Inconclusive, match="only 0% of the file came from a disk"):
        workload.verify(Recorder())


def test_a_disk_without_free_space_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(weight_file.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(Inconclusive, match=r"has 5 MiB free, 8 are needed"):
        weight_file.prepare(CPU, profile, "mmap")
    assert not list(tmp_path.iterdir())
