"""Reserved memory: each part from its own source, and a remedy for the largest of them."""

from pathlib import Path

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory
from dgxcert.probes.host.hardware.reserved_memory import (
    CONTIGUOUS,
    CRASH_KERNEL,
    HANDOVER,
    HUGE_PAGES,
    WITHHELD,
    Reserved,
    parse,
)
from dgxcert.probes.host.log import reading
from dgxcert.profiles import profile as profiles

MEMINFO = "MemTotal:       127598544 kB\nMemAvailable:   112197632 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
KHO = "Memory: 117722720K/133828484K available (25536K kernel code, 1078K bss, 16079992K reserved, 0K cma-reserved)"
HEALTHY = "Memory: 127473180K/133828484K available (16079992K rwdata, 6329464K reserved, 131072K cma-reserved)"


def test_the_kernels_line_gives_what_was_reserved_at_the_start() -> None:
    assert parse(MEMINFO, "", KHO, "").share == pytest.approx(0.1202, abs=1e-4)
    assert parse(MEMINFO, "", HEALTHY, "").share == pytest.approx(0.0473, abs=1e-4)
    assert parse(MEMINFO, "", "", "").share == 0


def test_pages_of_kexec_handover_are_free_and_in_no_area() -> None:
    handed = parse(f"{MEMINFO}CmaTotal: 0 kB\nCmaFree: 9750528 kB\n", "", "", "0")
    assert handed.handover_gib == pytest.approx(9.3, abs=0.01)
    assert handed.share == handed.handover_share == pytest.approx(0.0764, abs=1e-4)
    assert handed.remedy == HANDOVER
    assert parse(f"{MEMINFO}CmaTotal: 131072 kB\nCmaFree: 98304 kB\n", "", "", "0").handover_gib == 0


def test_huge_pages_of_every_size_count() -> None:
    """HugePages_Total counts those of the default size alone; Hugetlb has all."""
    pages = "HugePages_Total: 16\nHugepagesize: 2048 kB\nHugetlb: 16809984 kB\n"
    found = parse(MEMINFO + pages, "", HEALTHY, "")
    assert found.huge_pages_gib == pytest.approx(16.03, abs=0.01)
    assert found.remedy == HUGE_PAGES
    assert parse(f"{MEMINFO}HugePages_Total: 4096\nHugepagesize: 2048 kB\n", "", "", "").huge_pages_gib == 8


def test_a_crash_kernel_counts_where_no_log_counts_it() -> None:
    assert parse(MEMINFO, "crashkernel=16G", "", str(16 * 1024**3)).crash_kernel_gib == 16
    assert parse(MEMINFO, "crashkernel=16G", "", str(16 * 1024**3)).remedy == CRASH_KERNEL
    assert parse(MEMINFO, "crashkernel=512M", "", str(512 * 1024**2)).remedy == HANDOVER


def test_areas_of_the_contiguous_memory_allocator_count() -> None:
    found = parse(f"{MEMINFO}CmaTotal: 33554432 kB\nCmaFree: 33500000 kB\n", "cma=32G", HEALTHY, "0")
    assert (found.cma_gib, found.handover_gib, found.remedy) == (32, 0, CONTIGUOUS)
    assert found.share == pytest.approx(0.298, abs=1e-3)


@pytest.mark.parametrize(
    ("cmdline", "withheld"),
    [
        ("ro quiet mem=96G", ("mem=96G",)),
        ("memmap=4G$8G reserve_mem=1G:4096:trace", ("memmap=4G$8G", "reserve_mem=1G:4096:trace")),
        ("memmap=1M$0x1ff000000 reserve_mem=2M:4096:trace mem=nopentium memmap=4G!16G memmap=4G@16G", ()),
        ("mem_sleep_default=deep crashkernel=1G-:0M kho=off cma=128M mem", ()),
    ],
)
def test_parameters_that_keep_memory_from_the_kernel_are_named(cmdline: str, withheld: tuple[str, ...]) -> None:
    found = parse(MEMINFO, cmdline, "", "")
    assert found.withheld == withheld
    assert found.remedy == (WITHHELD if withheld else HANDOVER)


def test_it_is_read_where_neither_log_nor_crash_kernel_is_readable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO, encoding="ascii")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    for name in ("CMDLINE", "CRASH_SIZE"):
        monkeypatch.setattr(reserved_memory, name, tmp_path / "none")

    def refuse(args: list[str]) -> str:
        raise Inconclusive(f"{args[0]}: Operation not permitted")

    monkeypatch.setattr(reading, "run", refuse)
    assert reserved_memory.read().source.startswith("the kernel's log: not readable at the start")
    monkeypatch.setattr(reading, "run", lambda args: KHO if args[0] == "journalctl" else "[ 9.0] NVRM: loaded\n")
    assert reserved_memory.read().at_boot_gib == pytest.approx(15.3, abs=0.1)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    with pytest.raises(Inconclusive, match="cannot be read"):
        reserved_memory.read()


def test_only_unified_memory_is_held_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserved_memory, "read", lambda: Reserved(121.7, 127.6, 15.3))
    spark = profiles.load("dgx-spark")
    reserved_memory.require_little(Device("cuda", 0, "NVIDIA H200"), spark)
    reserved_memory.require_little(Device("cpu", 0, "CPU"), spark)
    with pytest.raises(Inconclusive, match="12 % of the memory is reserved"):
        reserved_memory.require_little(Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED), spark)
