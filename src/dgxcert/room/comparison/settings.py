"""Settings of many machines as numbers, so that a setting that explains a difference is found in 10,000 machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNKNOWN = -1


@dataclass(frozen=True)
class Partition:
    """How one setting, or several that always differ together, divides machines."""

    names: tuple[str, ...]
    codes: tuple[int, ...]
    """The number of each machine's value, UNKNOWN where it is not known."""
    values: tuple[tuple[str, ...], ...]
    """By number: the value of each of the names."""

    def described(self, code: int) -> list[tuple[str, str]]:
        """Names and values of one part.

        >>> Partition(("kernel",), (0, 1), (("6.14",), ("6.17",))).described(1)
        [('kernel', '6.17')]
        """
        return list(zip(self.names, self.values[code], strict=True))


def partitions(configurations: Sequence[Mapping[str, str]]) -> list[Partition]:
    """How the settings of some machines divide them, each way once; none that all have in common.

    >>> [each.names for each in partitions([{"kernel": "6.14", "driver": "580"}, {"kernel": "6.17", "driver": "580"}])]
    [('kernel',)]
    """
    names = dict.fromkeys(name for each in configurations for name in each)
    found: dict[tuple[int, ...], list[tuple[str, tuple[str, ...]]]] = {}
    for name in names:
        numbers: dict[str, int] = {}
        codes = tuple(
            numbers.setdefault(each[name], len(numbers)) if name in each else UNKNOWN for each in configurations
        )
        if len(numbers) > 1:
            found.setdefault(codes, []).append((name, tuple(numbers)))
    return [
        Partition(tuple(name for name, _ in named), codes, tuple(zip(*(values for _, values in named), strict=True)))
        for codes, named in found.items()
    ]
