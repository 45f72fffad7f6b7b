"""Memory of a GPU that the kernel counts as the system's is not the system's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dgxcert.container import limits
from dgxcert.machine import gpu_memory_nodes, memory_guard
from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory

GIB = 1024**2
MEMINFO = f"""MemTotal: {770 * GIB} kB
MemAvailable: {700 * GIB} kB
SwapTotal: 0 kB
SwapFree: 0 kB
"""
"""A DGX Station whose driver hands its GPU's 276 GiB to the kernel."""
IOMEM = "00000000-00000000 : System RAM\n00000000-00000000 : {name}\n"


@pytest.fixture(autouse=True)
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The NUMA nodes of a DGX Station: 0 is the CPU's, 1 the GPU's, 2 to 8 are for parts of a divided GPU."""
    for number in range(9):
        folder = tmp_path / f"node{number}"
        folder.mkdir()
        (folder / "cpulist").write_text("0-71\n" if number == 0 else "\n", encoding="ascii")
        total, free, cached = {0: (494, 50, 400), 1: (276, 270, 4)}.get(number, (0, 0, 0))
        figures = {"MemTotal": total, "MemFree": free, "Inactive(file)": cached, "SReclaimable": 1 if total else 0}
        lines = [f"Node {number} {name}:       {gib * GIB} kB\n" for name, gib in figures.items()]
        (folder / "meminfo").write_text("".join(lines), encoding="ascii")
    (tmp_path / "iomem").write_text(IOMEM.format(name="System RAM (NVIDIA)"), encoding="ascii")
    (tmp_path / "meminfo").write_text(MEMINFO, encoding="ascii")
    monkeypatch.setattr(gpu_memory_nodes, "NODES", tmp_path)
    monkeypatch.setattr(gpu_memory_nodes, "IOMEM", tmp_path / "iomem")
    for module in (memory, memory_guard, limits):
        monkeypatch.setattr(module, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory_guard, "limits_of_groups", tuple)
    gpu_memory_nodes.nodes.cache_clear()
    yield tmp_path
    gpu_memory_nodes.nodes.cache_clear()


def test_work_on_the_host_is_sized_by_the_memory_of_the_host() -> None:
    assert (memory.read().total_gib, memory.read().available_gib) == (494, 425)
    assert memory.source() == "/proc/meminfo, without 276.0 GiB of GPUs' memory"
    assert reserved_memory.read().total_gib == 494


def test_a_container_may_take_the_memory_of_the_host_alone() -> None:
    assert limits.read(floor_gib=4)["DGXCERT_MEMORY"] == str(490 * 1024**3)


@pytest.mark.parametrize(("floor_gib", "short"), [(424, False), (426, True)])
def test_the_guard_stops_work_before_it_takes_the_memory_of_a_gpu(floor_gib: float, short: bool) -> None:
    assert bool(memory_guard.shortage(floor_gib, "a test")) is short


@pytest.mark.parametrize("name", ["System RAM (kmem)", "Kernel code"])
def test_memory_without_processors_that_no_gpu_has_is_the_hosts(station: Path, name: str) -> None:
    """As that of a CXL device, or of a GPU whose driver keeps its memory."""
    (station / "iomem").write_text(IOMEM.format(name=name), encoding="ascii")
    assert memory.read().total_gib == 770
    assert memory.source() == "/proc/meminfo"


def test_what_cannot_be_read_holds_nothing(station: Path) -> None:
    (station / "iomem").unlink()
    assert gpu_memory_nodes.read() == gpu_memory_nodes.Held()
