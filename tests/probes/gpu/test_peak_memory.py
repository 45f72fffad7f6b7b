"""The peak of a GPU is torch's, that of the CPU is the process's, and a peak that cannot be reset stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.probes.gpu import peak_memory

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 1, "NVIDIA H200")
MIB = 1024**2


TOUCH = """
from dgxcert.machine.device import Device
from dgxcert.probes.gpu import peak_memory
cpu = Device("cpu", 0, "CPU")
before = peak_memory.read(cpu)
bytearray(b"1" * 2**26)
print(before, peak_memory.read(cpu))
"""
"""A process of its own, since the peak of this one may be many gigabytes."""


def test_the_peak_of_the_cpu_holds_memory_that_was_freed() -> None:
    printed = subprocess.run([sys.executable, "-c", TOUCH], capture_output=True, text=True, check=True).stdout
    before, after = map(int, printed.split())
    assert before > 0
    assert after - before > 64 * MIB


def test_a_status_without_a_peak_is_zero() -> None:
    assert peak_memory.parse("Name:\tpython\nVmRSS:\t  2048 kB\n") == 0
    assert peak_memory.parse("VmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n") == 2 * MIB


def test_a_reset_writes_to_the_kernels_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "CLEAR", tmp_path / "clear_refs")
    peak_memory.reset(CPU)
    assert (tmp_path / "clear_refs").read_text(encoding="ascii") == "5"


def test_a_peak_that_cannot_be_reset_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "CLEAR", tmp_path / "missing" / "clear_refs")
    before = peak_memory.read(CPU)
    peak_memory.reset(CPU)
    assert peak_memory.read(CPU) >= before


def test_the_peak_of_a_gpu_is_that_of_its_own_index(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="the peak of a GPU is torch's: make setup")
    peaks = {0: 7 * MIB, 1: 5 * MIB}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda index: peaks[index])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda index: peaks.update({index: 0}))
    assert peak_memory.read(GPU) == 5 * MIB
    peak_memory.reset(GPU)
    assert (peak_memory.read(GPU), peaks[0]) == (0, 7 * MIB)
