"""Pattern: integers that name their own origin, so that a wrong result of a collective says what is wrong with it.

What is copied holds which rank it is from, which one it is for, which run it belongs to, and its place. What is summed
holds a digit for each rank: a sum in which one rank is missing, doubled, late or out of place is wrong in its digit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PLACE_BITS, RANK_BITS = 36, 8
EVERYBODY = 2**RANK_BITS - 1
"""The receiver of a block that is for all."""
POISON = -1
"""What a result holds before the first run: no block and no sum has it."""
SIGNED_BITS = 62
MIXED, RUN_STEP, RANK_STEP = 2654435761, 97, 40503
"""Odd numbers that scatter neighbouring places, runs and ranks over all digits (Knuth's multiplicative hash)."""


def block(run: int, sender: int, receiver: int, count: int, device: str) -> "torch.Tensor":
    """A block of a run from one rank to another, (count,) of int64."""
    import torch

    origin = ((run << RANK_BITS | sender) << RANK_BITS | receiver) << PLACE_BITS
    return torch.arange(count, dtype=torch.int64, device=device) + origin


def origin(value: int, name: Callable[[int], str]) -> str:
    """Where a copied value comes from.

    >>> origin(((3 << 8 | 1) << 8 | 0) << 36 | 17, "rank {}".format)
    'element 17 of run 3, from rank 1 to rank 0'
    """
    run, sender = value >> (PLACE_BITS + 2 * RANK_BITS), value >> (PLACE_BITS + RANK_BITS) & EVERYBODY
    receiver, place = value >> PLACE_BITS & EVERYBODY, value & (2**PLACE_BITS - 1)
    if value == POISON:
        return "what was there before"
    if run == 0 or value < 0:
        return f"{value}, which no rank has sent"
    target = "all" if receiver == EVERYBODY else name(receiver)
    return f"element {place} of run {run}, from {name(sender)} to {target}"


@dataclass(frozen=True)
class Digits:
    """The digits of a sum over `ranks` ranks, each wide enough for twice what a rank adds.

    >>> Digits(8).bits, Digits(8).largest
    (7, 63)
    """

    ranks: int

    @property
    def bits(self) -> int:
        """Bits of one digit."""
        return min(16, SIGNED_BITS // self.ranks)

    @property
    def largest(self) -> int:
        """What a rank adds is from 1 to this."""
        return (1 << self.bits - 1) - 1

    def digit(self, run: int, rank: int, first: int, count: int, device: str) -> "torch.Tensor":
        """What a rank adds at `count` places from `first` on, (count,) of int64, not yet in its place of the number."""
        import torch

        places = torch.arange(first, first + count, dtype=torch.int64, device=device)
        mixed = (places * MIXED + rank * RANK_STEP) >> 11
        return (mixed + run * RUN_STEP) % self.largest + 1

    def term(self, run: int, rank: int, first: int, count: int, device: str) -> "torch.Tensor":
        """What a rank adds at `count` places from `first` on, as it sends it."""
        return self.digit(run, rank, first, count, device) << (rank * self.bits)

    def total(self, run: int, first: int, count: int, device: str) -> "torch.Tensor":
        """The right sum of all ranks."""
        parts = [self.term(run, rank, first, count, device) for rank in range(self.ranks)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def fault(self, found: int, wanted: int, name: Callable[[int], str]) -> str:
        """Which rank's part of a sum is wrong, and how.

        >>> Digits(2).fault(found=5, wanted=5 + (9 << 16), name="rank {}".format)
        "rank 1's part is missing"
        >>> Digits(2).fault(found=5 + (18 << 16), wanted=5 + (9 << 16), name="rank {}".format)
        "rank 1's part is there twice"
        """
        if found == POISON:
            return "no sum was written"
        mask, said = 2**self.bits - 1, []
        for rank in range(self.ranks):
            mine, right = (value >> (rank * self.bits) & mask for value in (found, wanted))
            if mine != right:
                how = {0: "missing", 2 * right: "there twice"}.get(mine, f"{mine} where {right} is right")
                said.append(f"{name(rank)}'s part is {how}")
        return "; ".join(said) or f"found {found}, wanted {wanted}"
