"""A split: a setting that divides machines into faster and slower ones, which makes none of them an outlier."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dgxcert.room.comparison.outliers import FLOOR, FLOORS, LEAST, Level, Scatter, normal, of_few
from dgxcert.room.comparison.quantities import Column
from dgxcert.room.comparison.settings import UNKNOWN, Partition

MOST_SEEN = 1000
"""Machines of one part that a split is found by: more would not find a smaller one that matters."""
OF_MEDIAN = math.sqrt(math.pi / 2)
"""The standard error of a median, in those of a mean."""


@dataclass(frozen=True)
class Part:
    """The machines that have one value of a setting: the number of the value, their places in the column, the level."""

    code: int
    places: tuple[int, ...]
    level: Level


@dataclass(frozen=True)
class Split:
    """How a setting splits a quantity: its parts, the best one first."""

    partition: Partition
    parts: tuple[Part, ...]


def find(columns: Sequence[Column], partitions: Sequence[Partition]) -> dict[int, Split]:
    """The split of each column, by its place among them, where a setting splits it: the one that shows most clearly."""
    best: dict[int, tuple[float, Split]] = {}
    claims = max(1, len(columns) * len(partitions))
    for partition in partitions:
        for at, split in _by(partition, columns):
            clarity = _clarity(split, columns[at].quantity.unit)
            if clarity > normal(claims) and (at not in best or clarity > best[at][0]):
                best[at] = clarity, split
    return {at: split for at, (_, split) in best.items()}


def _by(partition: Partition, columns: Sequence[Column]) -> Iterator[tuple[int, Split]]:
    """The parts of each column that a partition divides into at least two of enough machines."""
    divided = [(at, parts) for at, column in enumerate(columns) if len(parts := _places(partition, column)) > 1]
    seen: dict[int, list[Column]] = {}
    for at, parts in divided:
        for code, places in parts.items():
            seen.setdefault(code, []).append(_taken(columns[at], places))
    scatters = {code: Scatter(each) for code, each in seen.items()}
    for at, parts in divided:
        column = columns[at]
        levels = [
            Part(code, places, scatters[code].level(column.quantity, _taken(column, places).values))
            for code, places in parts.items()
        ]
        levels.sort(key=lambda part: part.level.median, reverse=column.quantity.higher_is_better)
        yield at, Split(partition, tuple(levels))


def _places(partition: Partition, column: Column) -> dict[int, tuple[int, ...]]:
    """The places of a column by value of the setting, of those values that enough machines have."""
    by_code: dict[int, list[int]] = {}
    for place, machine in enumerate(column.machines):
        by_code.setdefault(partition.codes[machine], []).append(place)
    by_code.pop(UNKNOWN, None)
    return {code: tuple(places) for code, places in by_code.items() if len(places) >= LEAST}


def _taken(column: Column, places: Sequence[int]) -> Column:
    """A column of some places; of very many, places at equal distances."""
    chosen = places[:: math.ceil(len(places) / MOST_SEEN)]
    return Column(column.quantity, values=array("d", (column.values[place] for place in chosen)))


def _clarity(split: Split, unit: str) -> float:
    """How many standard errors the medians of the best and the worst part are apart; 0 where that is no difference."""
    best, worst = split.parts[0], split.parts[-1]
    apart = abs(best.level.median - worst.level.median)
    if apart <= FLOORS.get(unit, FLOOR * abs(best.level.median)):
        return 0.0
    error = math.hypot(_error(best), _error(worst))
    return apart / error if error else math.inf


def _error(part: Part) -> float:
    count = len(part.places)
    return OF_MEDIAN * of_few(count) * part.level.taken / math.sqrt(count)
