"""The memory pattern test finds a flipped bit in any place, and never takes more than its budget."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import allocation
from dgxcert.workloads.correctness import memory_pattern
from dgxcert.workloads.correctness.memory_pattern import BLOCKS, PATTERNS, WORD, Blocks

CPU = Device("cpu", 0, "CPU")
LEAST = Limit(name="memory.pattern", min=0.125, unit="GiB", source="a test")
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


@pytest.mark.parametrize(("share", "max_gib", "takes"), [(0.25, 1, 0.25), (0.5, 0.125, 0.125)])
def test_only_a_bounded_share_of_the_budget_is_taken(
    monkeypatch: pytest.MonkeyPatch, share: float, max_gib: float, takes: float
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(allocation, "allowed_bytes", lambda device: allocation.GIB)
    monkeypatch.setattr(Blocks, "__init__", lambda self, device, size_bytes: sizes.append(size_bytes))
    memory_pattern.take(CPU, MemoryPattern(share=share, max_gib=max_gib), LEAST)
    assert sizes == [takes * allocation.GIB]


def test_blocks_never_exceed_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_pattern, "LARGEST_BLOCK", 1000 * WORD)
    for words in (4000, 4001, 9999, 123_456):
        assert 0.75 * words <= Blocks(CPU, words * WORD).words <= words


@pytest.mark.parametrize("allowed", [0, 16 * 1024**2, allocation.GIB // 4 - 8])
def test_less_than_the_limit_of_the_profile_is_inconclusive(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    monkeypatch.setattr(allocation, "allowed_bytes", lambda device: allowed)
    with pytest.raises(Inconclusive, match=r"proves nothing \(least: 0.125 GiB\)"):
        memory_pattern.take(CPU, MemoryPattern(share=0.5, max_gib=1), LEAST)


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_bounds_the_share(name: str) -> None:
    profile = profiles.load(name)
    sizes, least = profile.workloads.memory_pattern, profile.limit("memory.pattern").min
    assert sizes.share <= 0.5
    assert least is not None
    assert 0 < 2 * least <= sizes.max_gib


LARGEST_CACHE_GIB = {"dgx-spark": 0.03125, "h200": 0.05, "generic-nvidia": 0.125}
"""Of a GB10 (32 MB or less), of an H200 (50 MB), of any GPU (128 MB)."""


@pytest.mark.parametrize("name", LARGEST_CACHE_GIB)
def test_no_gpu_cache_holds_the_least_that_is_tested(name: str) -> None:
    least = profiles.load(name).limit("memory.pattern").min
    assert least is not None
    assert least >= 8 * LARGEST_CACHE_GIB[name]
