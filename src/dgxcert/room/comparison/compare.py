"""Comparing: the quantities of machines that are alike, each with its outliers and what sets them apart. Pure."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dgxcert.record.room.document import Compared, Outlier
from dgxcert.room.comparison import outliers, sentence, split
from dgxcert.room.comparison.outliers import Level, Scatter
from dgxcert.room.comparison.quantities import Column, Table
from dgxcert.room.comparison.settings import UNKNOWN, Partition, partitions
from dgxcert.room.comparison.split import Part, Split


@dataclass(frozen=True)
class Peers:
    """Machines that are compared with each other: their names, settings, and the profile that all were validated by."""

    profile: str
    among: str
    """What they have in common beside the profile, where the room has several kinds; or ""."""
    names: tuple[str, ...]
    configurations: tuple[Mapping[str, str], ...]


def compare(table: Table, peers: Peers) -> Iterator[Compared]:
    """Each quantity that at least two machines have; `table` numbers them as `peers` does."""
    columns = [column for column in table.columns() if len(column.values) > 1]
    divisions = partitions(peers.configurations)
    splits = split.find(columns, divisions)
    scatter = Scatter(columns)
    for at, column in enumerate(columns):
        if at in splits:
            yield from _in_parts(column, splits[at], peers, divisions)
        else:
            level = scatter.level(column.quantity, column.values)
            yield _compared(column, level, peers, divisions)


def _in_parts(column: Column, found: Split, peers: Peers, divisions: Sequence[Partition]) -> Iterator[Compared]:
    """One comparison for each part; who is in none is compared with the part that it is nearest to."""
    places = {part.code: list(part.places) for part in found.parts}
    within = {place for part in found.parts for place in part.places}
    for place in range(len(column.values)):
        if place not in within:
            places[_nearest(column.values[place], found.parts).code].append(place)
    best, worst = found.parts[0], found.parts[-1]
    says = sentence.split(
        column.quantity,
        best.level.away(worst.level.median, column.quantity.unit),
        (_described(found, worst), len(worst.places)),
        (_described(found, best), len(best.places)),
    )
    for part in found.parts:
        among = ", ".join(filter(None, (peers.among, _described(found, part))))
        compared = _compared(_part(column, sorted(places[part.code])), part.level, peers, divisions)
        yield compared.model_copy(update={"among": among, "divided": says if part is worst else compared.divided})


def _nearest(value: float, parts: Sequence[Part]) -> Part:
    return min(parts, key=lambda part: abs(part.level.median - value))


def _described(found: Split, part: Part) -> str:
    return sentence.listed([sentence.setting(name, value) for name, value in found.partition.described(part.code)])


def _part(column: Column, places: Sequence[int]) -> Column:
    part = Column(column.quantity)
    part.machines = array("l", (column.machines[place] for place in places))
    part.values = array("d", (column.values[place] for place in places))
    part.gpus = array("h", (column.gpus[place] for place in places))
    return part


def _compared(column: Column, level: Level, peers: Peers, divisions: Sequence[Partition]) -> Compared:
    quantity = column.quantity
    found = outliers.beyond(level, column.values)
    divided = ""
    if outliers.is_divided(found, len(column.values)):
        nearest = min(level.away(column.values[place], quantity.unit) for place in found)
        divided = sentence.divided(quantity, nearest, len(found), len(column.values))
        found = []
    return Compared(
        profile=peers.profile,
        key=quantity.key,
        name=quantity.name,
        unit=quantity.unit,
        higher_is_better=quantity.higher_is_better,
        values={peers.names[machine]: value for machine, value in zip(column.machines, column.values, strict=True)},
        median=level.median,
        scatter=level.scatter,
        limit=level.limit,
        outliers=tuple(_outlier(column, place, level, found, peers, divisions) for place in found),
        among=peers.among,
        divided=divided,
    )


def _outlier(
    column: Column, place: int, level: Level, found: Sequence[int], peers: Peers, divisions: Sequence[Partition]
) -> Outlier:
    machine, value = column.machines[place], column.values[place]
    away = level.away(value, column.quantity.unit)
    apart = _apart(machine, {column.machines[each] for each in found}, column.machines, peers, divisions)
    host = peers.names[machine]
    others = len(column.values) - 1
    says = sentence.outlier(host, column.quantity, away, others, column.gpus[place], apart)
    share = abs(value - level.median) / abs(level.median) if level.median else abs(value)
    return Outlier(host=host, value=value, away=share, says=says)


def _apart(machine: int, found: set[int], among: Sequence[int], peers: Peers, divisions: Sequence[Partition]) -> str:
    """The settings that an outlier has alone, or with other outliers only."""
    alone: list[tuple[str, str]] = []
    shared: list[tuple[str, str, list[str]]] = []
    for division in divisions:
        code = division.codes[machine]
        codes = {division.codes[each] for each in among if each not in found}
        if code == UNKNOWN or UNKNOWN in codes or code in codes or not codes:
            continue
        like = [peers.names[each] for each in sorted(found) if each != machine and division.codes[each] == code]
        for name, value in division.described(code):
            if like:
                shared.append((name, value, like))
            else:
                alone.append((name, value))
    return sentence.apart(alone, shared)
