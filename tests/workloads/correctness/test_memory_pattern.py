"""The memory pattern test finds a flipped bit in any place, and never takes more than its budget."""

import itertools
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import device_memory
from dgxcert.probes.gpu.device_memory import DeviceMemory
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import allocation
from dgxcert.workloads.correctness import memory_pattern
from dgxcert.workloads.correctness.memory_pattern import BLOCKS, PATTERNS, WORD, Blocks

CPU = Device("cpu", 0, "CPU")
LEAST = Limit(name="memory.pattern", min=0.7, unit="of memory", source="a test")
WORDS = 1000


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_pattern, "CHUNK_WORDS", 96)  # so that a block has several, and the last is shorter


@pytest.fixture
def blocks() -> Blocks:
    return Blocks(CPU, BLOCKS * WORDS * WORD)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_healthy_memory_keeps_every_pattern(blocks: Blocks, pattern: str) -> None:
    blocks.write(pattern)
    assert (len(blocks.blocks), blocks.words) == (BLOCKS, BLOCKS * WORDS)
    assert blocks.wrong_words(pattern) == 0


@pytest.mark.catches(
    "MEMORY-PATTERN",
    "one bit of one word that does not stay, or two addresses of one cell, anywhere in 0.7 or more of the memory",
    unseen="what the margin leaves to the system, and the memory of the system itself; a bit that flips less than once "
    "in the ten passes; in a rehearsal, all but 0.125 GiB",
)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("word", "bit"), [(0, 0), (95, 63), (96, 17), (WORDS - 1, 40)])
def test_one_flipped_bit_in_any_block_is_found(blocks: Blocks, pattern: str, word: int, bit: int) -> None:
    for block in blocks.blocks:
        blocks.write(pattern)
        block[word] ^= 1 << bit if bit < 63 else -(2**63)
        assert blocks.wrong_words(pattern) == 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_words_at_wrong_addresses_are_found(blocks: Blocks, pattern: str) -> None:
    blocks.write(pattern)
    blocks.blocks[1].copy_(blocks.blocks[0].roll(1))
    assert blocks.wrong_words(pattern) > 0.9 * WORDS


def test_two_blocks_at_one_address_are_found(blocks: Blocks) -> None:
    blocks.blocks[3] = blocks.blocks[0]
    blocks.write("address")
    assert blocks.wrong_words("address") == WORDS


def test_every_bit_of_every_word_holds_both_values(blocks: Blocks) -> None:
    for pattern in ("address", "walking ones"):
        blocks.write(pattern)
        plain = torch.cat(blocks.blocks)
        blocks.write(f"inverted {pattern}")
        assert torch.equal(torch.cat(blocks.blocks), ~plain)


def test_patterns_are_what_their_names_say(blocks: Blocks) -> None:
    blocks.write("address")
    assert torch.equal(torch.cat(blocks.blocks), torch.arange(BLOCKS * WORDS))
    blocks.write("walking ones")
    assert [int(word) & (2**64 - 1) for word in torch.cat(blocks.blocks)[:66]] == [1 << (i % 64) for i in range(66)]
    blocks.write("random")
    once = torch.cat(blocks.blocks)
    blocks.write("random")
    assert torch.equal(torch.cat(blocks.blocks), once)
    assert len(once.unique()) == BLOCKS * WORDS
    assert (once < 0).float().mean() == pytest.approx(0.5, abs=0.05)


def test_a_stuck_bit_is_counted_by_pattern(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Blocks.write

    def forgetful(self: Blocks, pattern: str) -> None:
        write(self, pattern)
        self.blocks[2][7] &= ~1  # stuck at zero

    monkeypatch.setattr(Blocks, "write", forgetful)
    wrong = memory_pattern.count_wrong(blocks)
    assert list(wrong) == list(PATTERNS)
    assert wrong["address"] + wrong["inverted address"] == 1
    assert wrong["inverted walking ones"] == 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Sets the memory of a machine in GiB, and how much of it may be taken; returns the sizes of blocks."""

    def set_memory(total_gib: float, allowed_gib: float) -> list[int]:
        sizes: list[int] = []

        def init(blocks: Blocks, device: Device, size_bytes: int) -> None:
            sizes.append(size_bytes)
            blocks.blocks = [torch.empty(size_bytes // WORD, dtype=torch.int64, device="meta")]

        monkeypatch.setattr(allocation, "allowed_bytes", lambda device: int(allowed_gib * allocation.GIB))
        monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(total_gib, "MemTotal"))
        monkeypatch.setattr(Blocks, "__init__", init)
        return sizes

    return set_memory


@pytest.mark.parametrize(("share", "max_gib", "takes"), [(1.0, None, 100), (0.9, None, 90), (1.0, 88, 88)])
def test_all_that_the_margin_allows_is_taken(
    machine: Callable[..., list[int]], share: float, max_gib: float | None, takes: float
) -> None:
    sizes = machine(121.6, 100)
    tested = memory_pattern.take(CPU, MemoryPattern(share=share, max_gib=max_gib), LEAST)
    assert sizes == [takes * allocation.GIB]
    assert tested.share == pytest.approx(takes / 121.6)


@pytest.mark.parametrize("allowed", [0, 16, 84])
def test_too_small_a_part_is_inconclusive_before_it_is_tested(
    machine: Callable[..., list[int]], allowed: float
) -> None:
    sizes = machine(121.6, allowed)
    with pytest.raises(
        Inconclusive, match=r"of 121\.6 GiB of cpu's memory are free .* at least 0\.7 of memory"
    ) as raised:
        memory_pattern.take(CPU, MemoryPattern(), LEAST)
    assert not sizes
    assert raised.value.remedy[-1].startswith("End other work")


def test_the_largest_part_that_leaves_too_little_is_where_the_limit_is(machine: Callable[..., list[int]]) -> None:
    machine(100, 70)
    assert memory_pattern.take(CPU, MemoryPattern(), LEAST).share == pytest.approx(0.7)


@pytest.mark.parametrize("end", ["no memory", "others take it"])
def test_memory_that_cannot_be_had_after_all_is_not_counted(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(memory_pattern, "LARGEST_BLOCK", 1000 * WORD)
    allowed = itertools.chain([10_000 * WORD] * 7, itertools.repeat(10_000 * WORD if end == "no memory" else 0))
    monkeypatch.setattr(allocation, "allowed_bytes", lambda device: next(allowed))
    monkeypatch.setattr(device_memory, "read", lambda device: DeviceMemory(10_000 * WORD / allocation.GIB, "MemTotal"))
    real, calls = torch.empty, itertools.count()

    def empty(*sizes: int, **options: object) -> torch.Tensor:
        if end == "no memory" and next(calls) >= 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*sizes, **options)

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(Inconclusive, match=r"0\.6 of it"):
        memory_pattern.take(CPU, MemoryPattern(), LEAST)


def test_blocks_never_exceed_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_pattern, "LARGEST_BLOCK", 1000 * WORD)
    for words in (4000, 4001, 9999, 123_456):
        assert 0.75 * words <= Blocks(CPU, words * WORD).words <= words


@pytest.mark.parametrize("name", ["dgx-spark", "h200", "generic-nvidia"])
def test_a_gpu_profile_asks_for_most_of_the_memory_and_takes_all_that_is_free(name: str) -> None:
    profile = profiles.load(name)
    assert profile.workloads.memory_pattern == MemoryPattern(share=1.0, max_gib=None)
    assert profile.limit("memory.pattern").min == 0.7


@pytest.mark.parametrize(("name", "available", "total"), [("dgx-spark", 102, 121.6), ("h200", 139.3, 140.4)])
def test_an_idle_machine_can_be_judged(name: str, available: float, total: float) -> None:
    profile = profiles.load(name)
    assert available - profile.memory.margin.value >= 0.7 * total


def test_a_rehearsal_takes_little() -> None:
    profile = profiles.load("cpu")
    assert profile.workloads.memory_pattern.max_gib == 0.125
    assert 0 < (profile.limit("memory.pattern").min or 0) * 1024 < 0.125
