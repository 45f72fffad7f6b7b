"""Memory patterns: a bounded share of the free memory is written, read back and compared word by word."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import allocation

if TYPE_CHECKING:
    import torch

WORD = 8
"""Bytes."""
BLOCKS = 4
"""At least so many blocks, so that more than one allocation is tested."""
LARGEST_BLOCK = allocation.GIB
CHUNK_WORDS = 4 * 1024**2
"""Words written or compared at a time: 32 MiB, and as much again for the expected words."""
SEED = 11

PATTERNS = ("address", "inverted address", "walking ones", "inverted walking ones", "random")


class Blocks:
    """Blocks of 64-bit words on a device; a pattern is written over all of them before the first is compared."""

    def __init__(self, device: Device, size_bytes: int) -> None:
        import torch

        self.device = device
        count = max(BLOCKS, math.ceil(size_bytes / LARGEST_BLOCK))
        block = size_bytes // count // WORD
        self.blocks = [torch.empty(block, dtype=torch.int64, device=device.name) for _ in range(count)]

    @property
    def words(self) -> int:
        """How many words there are."""
        return sum(block.numel() for block in self.blocks)

    @property
    def gib(self) -> float:
        """Size in GiB."""
        return self.words * WORD / allocation.GIB

    def write(self, pattern: str) -> None:
        """Fill every word of every block."""
        for part, expected in self._parts(pattern):
            part.copy_(expected())
        self.device.wait()

    def wrong_words(self, pattern: str) -> int:
        """How many words differ from those that `write` wrote, compared on the device."""
        import torch

        wrong = torch.zeros((), dtype=torch.int64, device=self.device.name)
        for part, expected in self._parts(pattern):
            wrong += (part != expected()).sum()
        return int(wrong)

    def _parts(self, pattern: str) -> "Iterator[tuple[torch.Tensor, Callable[[], torch.Tensor]]]":
        """Every chunk of every block, and a function that computes its words from their position."""
        start = 0
        for block in self.blocks:
            for part in block.split(CHUNK_WORDS):
                yield part, _expected(pattern, start, part)
                start += part.numel()


def _expected(pattern: str, start: int, part: "torch.Tensor") -> "Callable[[], torch.Tensor]":
    return lambda: _words(pattern, start, part.numel(), part.device)


def _words(pattern: str, start: int, count: int, device: "torch.device") -> "torch.Tensor":
    """The expected words from position `start` on, int64. Raises KeyError for an unknown pattern."""
    import torch

    if pattern == "random":
        generator = torch.Generator(device).manual_seed(SEED + start)
        words = torch.empty(count, dtype=torch.int64, device=device)
        return words.random_(-(2**63), None, generator=generator)
    index = torch.arange(start, start + count, dtype=torch.int64, device=device)
    plain = pattern.removeprefix("inverted ")
    words = {"address": lambda: index, "walking ones": lambda: torch.ones_like(index) << (index & 63)}[plain]()
    return words if plain == pattern else ~words


def take(device: Device, sizes: MemoryPattern, least: Limit) -> Blocks:
    """Blocks in the profile's share of the memory budget.

    Raises Inconclusive where that is less than the profile's `memory.pattern`: so little may fit into a cache.
    """
    size_bytes = int(min(sizes.share * allocation.allowed_bytes(device), sizes.max_gib * allocation.GIB))
    if size_bytes < (least.min or 0) * allocation.GIB:
        raise Inconclusive(
            f"only {size_bytes / 1024**2:.0f} MiB of {device.name}'s memory may be tested, which proves nothing "
            f"(least: {least.min} {least.unit})",
            "Check which processes use the memory: nvidia-smi; free -g",
            "End other work, then run again.",
        )
    return Blocks(device, size_bytes)


def count_wrong(blocks: Blocks) -> dict[str, int]:
    """How many words were wrong, by pattern."""
    wrong = {}
    for pattern in PATTERNS:
        blocks.write(pattern)
        wrong[pattern] = blocks.wrong_words(pattern)
    return wrong
