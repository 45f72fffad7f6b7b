"""Invented machines whose quantities scatter as a normal distribution does."""

import random
from collections.abc import Mapping, Sequence

from dgxcert.record.room.document import Compared
from dgxcert.room.comparison import compare
from dgxcert.room.comparison.compare import Peers
from dgxcert.room.comparison.quantities import Quantity, Reading, Table

CASES = [
    f"{work}.{precision}.tuned.{setting}"
    for work in ("decode", "prefill", "lora", "matmul")
    for precision in ("bf16", "fp16", "fp32", "nf4", "int4")
    for setting in ("single", "full")
]
"""Forty limits."""


def quantity(limit: str) -> Quantity:
    """The quantity of a speed."""
    return Quantity(f"{limit.upper()}-SPEED", limit, "token/s", limit, higher_is_better=True)


def room(
    machines: int,
    scatter: float,
    chance: random.Random,
    *,
    slow: Mapping[int, float] | None = None,
    settings: Sequence[Mapping[str, str]] | None = None,
    limits: Sequence[str] = CASES,
) -> list[Compared]:
    """The comparison of some machines; `slow` has what share of its speed a machine lacks."""
    table = Table()
    for machine in range(machines):
        speed = 1 - (slow or {}).get(machine, 0.0)
        values = [Reading(quantity(limit), 100 * speed * chance.gauss(1, scatter)) for limit in limits]
        table.add(machine, values)
    names = tuple(f"spark-{machine:02}" for machine in range(machines))
    return list(compare.compare(table, Peers("dgx-spark", "", names, tuple(settings or [{}] * machines))))


def outliers(compared: Sequence[Compared]) -> list[str]:
    """The machine of each outlier."""
    return [outlier.host for each in compared for outlier in each.outliers]
