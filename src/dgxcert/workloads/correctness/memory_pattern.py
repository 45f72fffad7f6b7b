"""Memory patterns: all memory that the margin allows is written, read back and compared word by word.

All blocks are allocated before the first is written and kept until the last is compared: a block that is freed in
between would come back at the same cells.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import device_memory
from dgxcert.profiles.workload_sizes import MemoryPattern
from dgxcert.workloads import allocation

if TYPE_CHECKING:
    import torch

WORD = 8
"""Bytes."""
BLOCKS = 4
"""At least so many blocks, so that more than one allocation is tested."""
LARGEST_BLOCK = allocation.GIB
CHUNK_WORDS = 2 * 1024**2
"""Words written or compared at a time: 16 MiB, whose expected words fit into the L2 cache of a GB10 (24 MB)."""
SEED = 11

PATTERNS = ("address", "inverted address", "walking ones", "inverted walking ones", "random")


class Blocks:
    """Blocks of 64-bit words on a device; a pattern is written over all of them before the first is compared."""

    def __init__(self, device: Device, size_bytes: int) -> None:
        import torch

        self.device = device
        self.blocks: list[torch.Tensor] = []
        count = max(BLOCKS, math.ceil(size_bytes / LARGEST_BLOCK))
        words = size_bytes // count // WORD
        # Less than planned is left where other programs take memory meanwhile, or CUDA counts the page cache as used.
        # Half a block less is tolerated: these figures go up and down by some MiB, which must not cost the last block.
        while len(self.blocks) < count and allocation.allowed_bytes(device) >= words * WORD / 2:
            try:
                self.blocks.append(torch.empty(words, dtype=torch.int64, device=device.name))
            except torch.OutOfMemoryError:
                break

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
            wrong += torch.count_nonzero(part != expected())
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


@dataclass(frozen=True)
class Tested:
    """The blocks that are tested, and the memory of the device that they are part of."""

    blocks: Blocks
    total_gib: float
    source: str
    """Where the figure of the whole comes from."""

    @property
    def share(self) -> float:
        """The part of the device's memory that is tested."""
        return self.blocks.gib / self.total_gib


def take(device: Device, sizes: MemoryPattern, least: Limit) -> Tested:
    """Blocks in all of the memory budget, or as much as the profile says.

    Raises Inconclusive where that is a smaller part of the device's memory than the profile's `memory.pattern`: memory
    that others use is no fault, but it was not looked at.
    """
    total = device_memory.read(device)
    budget_gib = sizes.share * allocation.allowed_bytes(device) / allocation.GIB
    planned_gib = min(budget_gib, sizes.max_gib or budget_gib)
    _require(planned_gib, total, least, device)
    tested = Tested(Blocks(device, int(planned_gib * allocation.GIB)), total.total_gib, total.source)
    _require(tested.blocks.gib, total, least, device)
    return tested


ROUNDING = 1e-4
"""Share of a size that is lost where it is cut into blocks of whole words."""


def _require(gib: float, total: device_memory.DeviceMemory, least: Limit, device: Device) -> None:
    if gib * (1 + ROUNDING) >= (least.min or 0) * total.total_gib:
        return
    raise Inconclusive(
        f"only {gib:.3g} of {total.total_gib:.4g} GiB of {device.name}'s memory are free to be tested, "
        f"{gib / total.total_gib:.2g} of it; at least {least.min} {least.unit} is required",
        *allocation.raising(device),
        "Check which processes use the memory: nvidia-smi; free -g",
        "Drop the page cache, used memory to CUDA on a Spark: sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'",
        "End other work, then run only this again: dgxcert validate --only MEMORY-PATTERN",
    )


def count_wrong(blocks: Blocks) -> dict[str, int]:
    """How many words were wrong, by pattern."""
    wrong = {}
    for pattern in PATTERNS:
        blocks.write(pattern)
        wrong[pattern] = blocks.wrong_words(pattern)
    return wrong
