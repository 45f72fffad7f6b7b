"""A dropped file comes from disk again; a share of pages that the kernel does not report is inconclusive."""

import errno
import mmap
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import page_cache

PAGES = 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was just written."""
    path = tmp_path / "weights"
    path.write_bytes(b"\x01" * (PAGES * mmap.PAGESIZE - 1))
    return path


def test_bytes_read_are_those_of_proc_self_io() -> None:
    assert page_cache.parse("rchar: 5\nread_bytes: 8192\nwrite_bytes: 1\n") == 8192
    assert page_cache.parse("") is None


def test_a_kernel_without_that_accounting_has_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page_cache, "IO", tmp_path / "missing")
    assert page_cache.read_bytes() is None
    monkeypatch.setattr(page_cache, "IO", tmp_path / "io")
    (tmp_path / "io").write_text("rchar: 9\nread_bytes: 4096\n", encoding="ascii")
    assert page_cache.read_bytes() == 4096


def test_a_file_that_was_just_written_is_in_memory(file: Path) -> None:
    assert page_cache.resident(file) == 1.0


def test_a_dirty_file_is_written_to_disk_before_it_is_dropped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    monkeypatch.setattr(os, "posix_fadvise", lambda descriptor, *advice: calls.append(f"fadvise {advice}"))
    page_cache.drop(file)
    assert calls == ["fsync", f"fadvise {(0, 0, os.POSIX_FADV_DONTNEED)}"]


def test_the_share_is_of_pages_by_the_lowest_bit_of_each_state(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mincore(address: object, size: object, states: "list[int]") -> int:
        states[:PAGES] = [1] * 16 + [0xFE] * (PAGES - 16)
        return 0

    monkeypatch.setattr(page_cache.ctypes, "CDLL", lambda *_, **__: SimpleNamespace(mincore=mincore))
    assert page_cache.resident(file) == 0.25


def test_a_kernel_that_refuses_is_inconclusive(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache.ctypes, "CDLL", lambda *_, **__: SimpleNamespace(mincore=lambda *_: -1))
    monkeypatch.setattr(page_cache.ctypes, "get_errno", lambda: errno.EPERM)
    with pytest.raises(
        Inconclusive, match=r"does not report how much of .*weights is in memory: Operation not permitted"
    ):
        page_cache.resident(file)
