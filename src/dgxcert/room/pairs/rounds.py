"""Rounds: which pairs are tested at the same time. A machine is in one test at a time. Pure."""

from collections.abc import Sequence

Row = tuple[str, str]


def rounds(rows: Sequence[Row]) -> tuple[tuple[Row, ...], ...]:
    """Pairs in rounds, each as early as both its ends are free.

    >>> rounds([("a", "b"), ("b", "c"), ("c", "d")])
    ((('a', 'b'), ('c', 'd')), (('b', 'c'),))
    """
    made: list[list[Row]] = []
    for row in rows:
        free = next((each for each in made if not {name for other in each for name in other} & set(row)), None)
        if free is None:
            made.append([row])
        else:
            free.append(row)
    return tuple(map(tuple, made))
