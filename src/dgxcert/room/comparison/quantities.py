"""Quantities: what the machines of a room are compared by, each in a direction that is known and never guessed.

A direction comes from the sign of the limit that a value was compared with: what must reach a `min` is better the
higher it is, what must stay below a `max` the lower. A quantity with both edges, with none, or that says nothing of how
good a machine is (counts, versions, free disk) is not compared. Of the GPUs of a machine the worst counts.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.units import SPEEDS
from dgxcert.plan.selection import any_gpu
from dgxcert.record import figures
from dgxcert.record.figures import CONCLUSIVE
from dgxcert.record.run import Result, Run

SAYS_HOW_GOOD = (
    *SPEEDS,
    "burn_in.steadiness",
    "clock.boost",
    "clock.steadiness",
    "clock.under_load",
    "cpu.clock",
    "links.speed",
    "memory.available",
    "memory.free",
    "slowdown.power_brake",
    "slowdown.thermal",
    "temperature.under_load",
    "together",
    "training.scaling",
)
"""Limits, or the first part of their names, that say how good a machine is. Not those of errors, which one is too many
of, of numerics, which differ by the kernels that a library chooses, and of what a user keeps on a disk."""
ENERGY = "energy-per-token"
"""The one headline figure that has no limit, and is not the inverse of one that has."""
SAME_TWICE = ("memory that this process may take",)
"""Evidence that repeats another one of its requirement, and would name a machine twice."""
NO_GPU = -1
BEYOND = 1e18
"""No figure of a machine comes near; below it no sum or difference of two overflows."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What one requirement measures of every machine: `decode` in token/s by `DECODE-SPEED[bf16-tuned-single]`.

    `limit` is the name of the limit that it is compared with, "" for a headline figure without one.
    """

    key: str
    name: str
    unit: str
    limit: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A quantity of one machine; `gpu` is the GPU that it is of, where the machine has several."""

    quantity: Quantity
    value: float
    gpu: int = NO_GPU

    def is_worse_than(self, other: "Reading") -> bool:
        """Whether it is on the bad side of another reading of its quantity."""
        return self.value < other.value if self.quantity.higher_is_better else self.value > other.value


@dataclass(slots=True)
class Column:
    """One quantity of many machines: their numbers, in the order in which they were added, and values and GPUs."""

    quantity: Quantity
    machines: "array[int]" = field(default_factory=lambda: array("l"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    gpus: "array[int]" = field(default_factory=lambda: array("h"))

    def add(self, machine: int, reading: Reading) -> None:
        """Add the reading of a machine."""
        self.machines.append(machine)
        self.values.append(reading.value)
        self.gpus.append(reading.gpu)


class Table:
    """The readings of many machines by quantity, in a few bytes each.

    >>> table = Table()
    >>> decode = Quantity("DECODE-SPEED", "decode", "token/s", "decode.bf16.tuned.single", higher_is_better=True)
    >>> table.add(0, [Reading(decode, 14.1)])
    >>> [list(column.values) for column in table.columns()]
    [[14.1]]
    """

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str, str], Column] = {}
        self._undecided: set[tuple[str, str, str]] = set()

    def add(self, machine: int, readings: Iterable[Reading]) -> None:
        """Add what one machine measured."""
        for reading in readings:
            quantity = reading.quantity
            place = (quantity.key, quantity.name, quantity.unit)
            column = self._columns.setdefault(place, Column(quantity))
            if column.quantity.higher_is_better is not quantity.higher_is_better:
                self._undecided.add(place)
            column.add(machine, reading)

    def columns(self) -> Iterator[Column]:
        """The quantities in the order in which they were first measured; none that two runs read in two directions."""
        return (column for place, column in self._columns.items() if place not in self._undecided)


def readings(run: Run) -> tuple[Reading, ...]:
    """What a run measured of its machine that others are compared by: of each quantity the worst GPU's."""
    worst: dict[tuple[str, str, str], Reading] = {}
    several = len(run.machine.gpus) > 1
    for result in run.results:
        if result.outcome not in CONCLUSIVE:
            continue
        for reading in _of_result(result, several=several):
            quantity = reading.quantity
            place = (quantity.key, quantity.name, quantity.unit)
            if place not in worst or reading.is_worse_than(worst[place]):
                worst[place] = reading
    return tuple(worst.values())


def _of_result(result: Result, *, several: bool) -> Iterator[Reading]:
    found = figures.gpu_of(result.key) if several else None
    gpu = NO_GPU if found is None else found
    for item in result.evidence:
        if not isinstance(item.value, int | float) or isinstance(item.value, bool) or item.name in SAME_TWICE:
            continue
        if not abs(item.value) < BEYOND:
            continue
        quantity = _by_limit(result, item) or _by_figure(result, item)
        if quantity is not None:
            yield Reading(quantity, float(item.value), gpu)


def _by_limit(result: Result, item: Evidence) -> Quantity | None:
    """The quantity of a value that was compared with one edge of a limit that says how good a machine is."""
    edges = {(made.limit, made.sign) for made in item.held_against if made.limit and says_how_good(made.limit)}
    if len({sign for _, sign in edges}) != 1:
        return None
    limit, sign = min(edges)
    if sign not in (">=", "<="):
        return None
    return Quantity(any_gpu(result.key), item.name, item.unit, limit, higher_is_better=sign == ">=")


def _by_figure(result: Result, item: Evidence) -> Quantity | None:
    """The quantity of a headline figure that has no limit."""
    key = any_gpu(result.key)
    if key not in WANTED.requirements or item.unit != WANTED.unit or not WANTED.evidence.fullmatch(item.name):
        return None
    return Quantity(key, item.name, item.unit, "", higher_is_better=WANTED.higher_is_better)


WANTED = next(wanted for wanted in figures.WANTED if wanted.name == ENERGY)


def says_how_good(limit: str) -> bool:
    """Whether a limit says how good a machine is, rather than whether it is right.

    >>> says_how_good("decode.bf16.tuned.single"), says_how_good("disk.free"), says_how_good("memory.loading")
    (True, False, False)
    """
    return limit in SAYS_HOW_GOOD or limit.split(".")[0] in SAYS_HOW_GOOD
