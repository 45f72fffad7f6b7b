"""The memory budget is available memory less a margin, and on unified memory never CUDA's figure."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from dgxcert.machine import memory_limits
from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.workloads import allocation
from dgxcert.workloads.allocation import GIB

CPU = Device("cpu", 0, "CPU", margin_gib=1.0)
CARD = Device("cuda", 1, "NVIDIA H200", margin_gib=4.0)
UNIFIED = Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED, margin_gib=20.0)

World = Callable[..., None]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Available memory by the system and by CUDA, in GiB, and whether the GPU is integrated."""

    def make(
        *,
        system: float,
        cuda: float | None = None,
        integrated: bool = False,
        limits: tuple[memory_limits.MemoryLimit, ...] = (),
    ) -> None:
        def free(index: int) -> tuple[int, int]:
            if cuda is None:
                pytest.fail("CUDA was queried, which does not count the page cache as free")
            return int(cuda * GIB), 1024 * GIB

        cuda_module = SimpleNamespace(
            mem_get_info=free, get_device_properties=lambda index: SimpleNamespace(is_integrated=int(integrated))
        )
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda_module))
        monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.6, system, 15.0, 0.0))
        monkeypatch.setattr(memory_limits, "read", lambda: limits)

    return make


def allowed_gib(device: Device) -> float:
    return allocation.allowed_bytes(device) / GIB


def test_a_card_with_its_own_memory_uses_the_figure_of_cuda(world: World) -> None:
    world(system=7.0, cuda=140.0)
    assert allowed_gib(CARD) == 136.0


def test_the_figure_of_cuda_is_that_of_the_right_card(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world(system=7.0, cuda=140.0)
    free = {0: (1 * GIB, 141 * GIB), 1: (100 * GIB, 141 * GIB)}
    monkeypatch.setattr(sys.modules["torch"].cuda, "mem_get_info", free.__getitem__)
    assert allowed_gib(CARD) == 96.0


def test_unified_memory_uses_the_figure_of_the_system(world: World) -> None:
    """With the page cache full CUDA calls 6 GiB of 40 free."""
    world(system=100.0)
    assert allowed_gib(UNIFIED) == 80.0
    allocation.require(UNIFIED, 80 * GIB, "a model")


@pytest.mark.parametrize("margin_gib", [0.0, 2.0, 15.9])
def test_unified_memory_keeps_16_gib_free_with_any_profile(world: World, margin_gib: float) -> None:
    world(system=100.0)
    device = Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED, margin_gib=margin_gib)
    assert allowed_gib(device) == 84.0
    with pytest.raises(Inconclusive, match="beside a margin of 16 GiB"):
        allocation.require(device, 84.1 * GIB, "a model")


def test_an_integrated_gpu_shares_the_system_memory_with_any_profile(world: World) -> None:
    """As with `generic-nvidia` on a Spark: an allocation by CUDA's figure would hang the machine."""
    world(system=100.0, integrated=True)
    device = Device("cuda", 0, "NVIDIA GB10", margin_gib=2.0)
    assert device.shares_system_memory
    assert allowed_gib(device) == 84.0


LIMITED = memory_limits.MemoryLimit("memory.max of /job", "Slurm", 40 * GIB, 4 * GIB, ("Ask for more memory.",))


def test_a_limit_of_this_process_limits_what_is_not_on_a_card(world: World) -> None:
    world(system=100.0, cuda=140.0, limits=(LIMITED,))
    assert [allowed_gib(device) for device in (CPU, UNIFIED, CARD)] == [35.0, 16.0, 136.0]
    assert [allocation.raising(device) for device in (CPU, UNIFIED, CARD)] == [LIMITED.remedy, LIMITED.remedy, ()]


def test_a_refusal_names_the_limit_and_how_it_is_raised(world: World) -> None:
    world(system=100.0, limits=(LIMITED,))
    with pytest.raises(Inconclusive) as raised:
        allocation.require(UNIFIED, 20 * GIB, "a model")
    assert "36.0 GiB are available on cuda:0 (memory.max of /job, set by Slurm: 40.00 GiB" in raised.value.problem
    assert raised.value.remedy[0] == "Ask for more memory."


def test_a_card_and_a_cpu_keep_the_margin_of_their_profile(world: World) -> None:
    world(system=8.0, cuda=24.0)
    assert allowed_gib(CARD) == 20.0
    assert allowed_gib(CPU) == 7.0


def test_a_cpu_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(memory, "read", lambda: memory.Memory(121.6, 8.0, 15.0, 0.0))
    assert not CPU.shares_system_memory
    assert allowed_gib(CPU) == 7.0


@pytest.mark.parametrize("device", [CPU, CARD, UNIFIED], ids=["cpu", "card", "unified"])
@pytest.mark.parametrize("short_gib", [0.0, 0.5, 1.0])
def test_with_less_than_the_margin_the_budget_is_zero(world: World, device: Device, short_gib: float) -> None:
    world(system=device.margin_gib - short_gib, cuda=device.margin_gib - short_gib)
    assert allocation.allowed_bytes(device) == 0
    with pytest.raises(Inconclusive):
        allocation.require(device, 1.0 * GIB, "anything")


def test_bytes_are_whole(world: World) -> None:
    world(system=1.1, cuda=4.7)
    assert [type(allocation.allowed_bytes(device)) for device in (CPU, CARD)] == [int, int]


def test_the_last_byte_of_the_budget_fits_and_one_more_does_not(world: World) -> None:
    world(system=8.0, cuda=24.0)
    for device in (CPU, CARD):
        allowed = allocation.allowed_bytes(device)
        allocation.require(device, allowed, "a model")
        with pytest.raises(Inconclusive):
            allocation.require(device, allowed + 1, "a model")


def test_a_refusal_states_need_margin_and_available_memory(world: World) -> None:
    world(system=8.0, cuda=24.0)
    with pytest.raises(Inconclusive) as raised:
        allocation.require(CARD, 22.5 * GIB, "llama-3.1-8b in bf16")
    assert raised.value.problem == (
        "llama-3.1-8b in bf16 needs 22.5 GiB beside a margin of 4 GiB; 24.0 GiB are available on cuda:1"
    )
    assert any("nvidia-smi" in step for step in raised.value.remedy)


@pytest.mark.parametrize("device", [CPU, UNIFIED], ids=["cpu", "unified"])
def test_memory_that_cannot_be_read_allows_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    def refuse() -> memory.Memory:
        raise Inconclusive("/proc/meminfo cannot be read")

    world(system=100.0)
    monkeypatch.setattr(memory, "read", refuse)
    for size in (allocation.allowed_bytes, lambda device: allocation.require(device, 1.0, "a byte")):
        with pytest.raises(Inconclusive, match="cannot be read"):
            size(device)


def test_a_giant_does_not_fit_on_this_machine() -> None:
    with pytest.raises(Inconclusive, match="needs"):
        allocation.require(CPU, 1e15, "a giant")
