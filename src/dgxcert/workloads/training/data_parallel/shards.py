"""Shards: which rows each rank trains on, with unequal numbers of tokens, as texts have."""

import hashlib
import json
import random
from dataclasses import dataclass

SEED = 37


@dataclass(frozen=True)
class Sizes:
    """The training that is compared with that of one device: a small Llama-like model, and rows of up to `length`."""

    vocabulary: int
    hidden: int
    heads: int
    layers: int
    rank: int
    """Of the adapters."""
    rows: int
    """Rows of one backward pass of one rank."""
    length: int
    steps: int = 3
    accumulated: int = 2
    """Backward passes of one step of the optimizer."""


SIZES = {
    "cuda": Sizes(vocabulary=4096, hidden=512, heads=8, layers=2, rank=16, rows=4, length=256),
    "cpu": Sizes(vocabulary=256, hidden=64, heads=2, layers=2, rank=8, rows=2, length=24),
}

Rows = tuple[tuple[int, ...], ...]


def rows(sizes: Sizes, rank: int, step: int, part: int) -> Rows:
    """The rows of one backward pass of a rank: token ids below the vocabulary.

    The first row is whole. The others lose more tokens the higher the rank is, so that a mean over ranks of their mean
    losses is not the mean over all tokens.

    >>> sizes = Sizes(vocabulary=256, hidden=64, heads=2, layers=2, rank=8, rows=2, length=24)
    >>> [len(row) for row in rows(sizes, 0, 0, 0)], [len(row) for row in rows(sizes, 1, 0, 0)]
    ([24, 18], [24, 12])
    """
    random_ids = random.Random(f"{SEED} {rank} {step} {part}")  # noqa: S311 (rows, and no secret)
    shortest, lost = 4, sizes.length // 4
    lengths = [max(shortest, sizes.length - lost * (1 + (rank + part) % 3)) for _ in range(sizes.rows - 1)]
    return tuple(tuple(random_ids.randrange(sizes.vocabulary) for _ in range(n)) for n in (sizes.length, *lengths))


def targets(batch: Rows) -> int:
    """Tokens of rows that are predicted: all but the first of each row.

    >>> targets(((5, 6, 7), (8, 9)))
    3
    """
    return sum(len(row) - 1 for row in batch)


def digest(batch: Rows) -> str:
    """SHA-256 of rows.

    >>> digest(((5, 6, 7),))[:8], digest(((5, 6, 8),))[:8]
    ('bf2f661c', '9ed3aad8')
    """
    return hashlib.sha256(json.dumps(batch).encode()).hexdigest()


def expected_digests(sizes: Sizes, rank: int) -> list[str]:
    """The digests of all rows of a rank, in the order in which it trains on them."""
    return [digest(rows(sizes, rank, step, part)) for step in range(sizes.steps) for part in range(sizes.accumulated)]
