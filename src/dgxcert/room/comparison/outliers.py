"""Outliers: machines that differ from their like in one quantity, in the bad direction, by more than others scatter.

Four times the scaled median absolute deviation alone would name a healthy machine in 29 of 100 rooms of 30 machines
with 40 quantities: the deviation of few values is easily too small by chance, and there are 1,200 values. So

- the scatter is never less than that of all quantities of its kind together,
- it is corrected for few machines (Croux and Rousseeuw 1992, Computational Statistics 1, 411-428), and for how well
  their median is known,
- the factor grows with the number of values, so that in 1 of 100 healthy rooms one machine is named, of any size,
- a difference below `FLOOR` is none.

Nothing is claimed among fewer than `LEAST` machines, nor where more than `MOST_SHARE` of them would be outliers: then
the room is divided, which `room.comparison.split` explains by a setting where one does.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgxcert.judgement.units import OF_TIME
from dgxcert.room.comparison.quantities import Column, Quantity
from dgxcert.room.comparison.sentence import DEGREES

LEAST = 5
"""Machines among which an outlier is claimed: fewer do not show how they scatter."""
DEVIATIONS = 4.0
FLOOR = 0.03
"""A smaller share of the median is never a difference: what healthy machines of one type differ by."""
FLOORS = {DEGREES: 10.0, OF_TIME: 0.03}
"""The same in the unit itself, where a share of the median says nothing."""
MOST_SHARE = 0.25
"""Outliers among the machines that are compared; more are no outliers but another half of the room."""
FALSE_ROOMS = 0.01
"""Healthy rooms in which a machine is named, if values scatter as a normal distribution does."""
TO_DEVIATION = 1.4826
"""The median absolute deviation of a normal distribution is this part of its standard deviation, 1 / 0.6745."""
OF_FEW = {5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
"""How much too small the deviation of so few values is on average (Croux and Rousseeuw 1992, table of b_n)."""


@dataclass(frozen=True)
class Level:
    """What machines reach in one quantity: their median, how they scatter, and beyond which one is an outlier."""

    median: float
    scatter: float
    """The deviation of these values."""
    taken: float
    """What is taken for it: at least that of all quantities of its kind."""
    limit: float
    higher_is_better: bool

    def is_beyond(self, value: float) -> bool:
        """Whether a value is on the bad side of the limit."""
        return value < self.limit if self.higher_is_better else value > self.limit

    def away(self, value: float, unit: str) -> float:
        """How far a value is from the median, as a share of it, or in the unit where shares say nothing."""
        apart = abs(value - self.median)
        return apart if unit in FLOORS or not self.median else apart / abs(self.median)


class Scatter:
    """How much the quantities of some machines scatter, by kind of work: what no scatter of one is less than.

    >>> lone = Quantity("DECODE-SPEED", "decode", "token/s", "decode.bf16.tuned.single", higher_is_better=True)
    >>> steady = Column(lone)
    >>> steady.values.extend([14.0, 14.1, 13.9, 14.0, 14.1])
    >>> Scatter([steady]).level(steady.quantity, steady.values).median
    14.0
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        shares: dict[str, list[float]] = {}
        self.quantities = 0
        for column in columns:
            self.quantities += 1
            middle = statistics.median(column.values)
            if middle and column.quantity.unit not in FLOORS:
                shares.setdefault(_kind(column.quantity), []).append(deviation(column.values, middle) / abs(middle))
        self._of_kind = {kind: statistics.median(each) for kind, each in shares.items()}
        every = [share for each in shares.values() for share in each]
        self._of_all = statistics.median(every) if every else 0.0

    def level(self, quantity: Quantity, values: Sequence[float]) -> Level:
        """The level of some values of a quantity."""
        middle = statistics.median(values)
        scatter = deviation(values, middle)
        if quantity.unit in FLOORS:
            floor, least = FLOORS[quantity.unit], 0.0
        else:
            floor = FLOOR * abs(middle)
            least = max(self._of_kind.get(_kind(quantity), 0.0), self._of_all) * abs(middle)
        taken = max(scatter, least)
        allowed = max(floor, factor(len(values), self.quantities) * taken)
        limit = middle - allowed if quantity.higher_is_better else middle + allowed
        return Level(middle, scatter, taken, limit, quantity.higher_is_better)


def _kind(quantity: Quantity) -> str:
    return quantity.limit.split(".")[0]


def deviation(values: Sequence[float], middle: float) -> float:
    """The median absolute deviation from the median, scaled to a standard deviation.

    >>> round(deviation([1.0, 2.0, 3.0, 4.0, 100.0], 3.0), 3)
    1.483
    """
    return TO_DEVIATION * statistics.median([abs(value - middle) for value in values])


def factor(machines: int, quantities: int) -> float:
    """How many scaled deviations from the median a machine may be, of so many with so many quantities.

    >>> round(factor(30, 40), 2), round(factor(5, 40), 2), round(factor(10_000, 40), 2)
    (4.54, 5.53, 5.45)
    """
    values = max(1, machines * quantities)
    of_median = math.sqrt(1 + math.pi / (2 * machines))
    return normal(values) * of_few(machines) * of_median


def normal(claims: int) -> float:
    """How many standard deviations a value must be away, where so many could be by chance.

    >>> normal(1), round(normal(1200), 2)
    (4.0, 4.31)
    """
    return max(DEVIATIONS, statistics.NormalDist().inv_cdf(1 - FALSE_ROOMS / claims))


def of_few(values: int) -> float:
    """How much too small the deviation of so many values is on average."""
    if values > max(OF_FEW):
        return values / (values - 0.8)
    return OF_FEW.get(values, OF_FEW[LEAST])


def beyond(level: Level, values: Sequence[float]) -> list[int]:
    """The places of the values that are outliers, or of all that are beyond the limit; none among too few.

    >>> level = Level(median=14.0, scatter=0.1, taken=0.1, limit=13.5, higher_is_better=True)
    >>> beyond(level, [14.0, 14.1, 12.7, 14.0, 13.9]), beyond(level, [14.0, 14.1, 12.7])
    ([2], [])
    """
    if len(values) < LEAST:
        return []
    return [at for at, value in enumerate(values) if level.is_beyond(value)]


def is_divided(found: Sequence[int], machines: int) -> bool:
    """Whether so many are beyond the limit that they are no outliers.

    >>> is_divided([3], 5), is_divided([3, 4], 5)
    (False, True)
    """
    return len(found) > MOST_SHARE * machines
