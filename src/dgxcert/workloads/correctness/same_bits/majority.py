"""Majority: of several devices that should answer alike, those that answer otherwise. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vote:
    """Those that differ from the majority; all of them where no answer is that of more than half."""

    odd: tuple[str, ...] = ()
    settled: bool = True
    """Whether a majority says which ones are odd, or nobody is."""


def vote(answers: Mapping[str, str]) -> Vote:
    """Who of several differs, by name.

    >>> vote({"GPU 0": "5f2b", "GPU 1": "5f2b", "GPU 2": "91c0"})
    Vote(odd=('GPU 2',), settled=True)
    >>> vote({"GPU 0": "5f2b", "GPU 1": "91c0"})
    Vote(odd=('GPU 0', 'GPU 1'), settled=False)
    >>> vote({"GPU 0": "5f2b"})
    Vote(odd=(), settled=True)
    """
    if not answers:
        return Vote()
    (most, count), *_ = Counter(answers.values()).most_common()
    settled = 2 * count > len(answers)
    return Vote(tuple(name for name, answer in answers.items() if answer != most or not settled), settled)


def by_kind(kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The names of each kind, in their order.

    >>> by_kind({"GPU 0": "NVIDIA H200", "GPU 1": "NVIDIA H200", "GPU 2": "NVIDIA L40S"})
    {'NVIDIA H200': ('GPU 0', 'GPU 1'), 'NVIDIA L40S': ('GPU 2',)}
    """
    return {kind: tuple(name for name in kinds if kinds[name] == kind) for kind in dict.fromkeys(kinds.values())}


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them.

    >>> listed(["GPU 0"]), listed(["GPU 0", "GPU 1", "GPU 2"])
    ('GPU 0', 'GPU 0, GPU 1 and GPU 2')
    """
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
