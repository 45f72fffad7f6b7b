"""How long what is left of a run takes: by earlier runs of this machine, else as declared, and by this run so far."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dgxcert.plan.selection import Planned

PROCESS_S = 3.0
"""To start a process of a stage, import torch where it works, and end it: 1.5 to 5.7 s between stages on an H200."""
DOUBT_OF_ALL, DOUBT_OF_CASES = 0.1, 3.0
"""How much must be seen to count as much as what was expected: a tenth of the run, and three cases of a requirement."""


@dataclass
class _Pace:
    """Seconds that requirements took, and that were expected of them."""

    took_s: float = 0.0
    expected_s: float = 0.0

    def beside(self, before: float, doubt_s: float) -> float:
        """Seconds taken for each second expected, where `before` has the weight of `doubt_s` seconds."""
        weight = self.expected_s + doubt_s
        return (self.took_s + before * doubt_s) / weight if weight else before


class Estimate:
    """Expected seconds of each requirement of a run, corrected by those that have ended.

    `known` are the seconds of this machine's earlier runs by key; what has none takes `takes_s`. What took longer than
    expected says that the rest will, and more of the other cases of the same requirement. What is known from this
    machine's past is corrected apart from what is declared, which was measured on another machine.

    >>> Estimate((), {}).left(())
    0
    """

    def __init__(self, plan: Iterable[Planned], known: Mapping[str, float]) -> None:
        self._known = known
        self._doubt_s = DOUBT_OF_ALL * sum(self.before(entry) for entry in plan)
        self._all: dict[bool, _Pace] = defaultdict(_Pace)
        self._cases: dict[tuple[bool, str], _Pace] = defaultdict(_Pace)

    def took(self, entry: Planned, seconds: float) -> None:
        """A requirement has ended after that many seconds."""
        known = entry.key in self._known
        for pace in (self._all[known], self._cases[known, entry.id]):
            pace.took_s += seconds
            pace.expected_s += self.before(entry)

    def before(self, entry: Planned) -> float:
        """Seconds that were expected of a requirement before the run."""
        return self._known.get(entry.key, entry.takes_s)

    def of(self, entry: Planned) -> float:
        """Seconds that are expected of a requirement by now."""
        known, expected_s = entry.key in self._known, self.before(entry)
        pace = self._all[known].beside(1.0, self._doubt_s)
        return self._cases[known, entry.id].beside(pace, DOUBT_OF_CASES * expected_s) * expected_s

    def left(self, waiting: Iterable[Planned]) -> float:
        """Seconds that are expected of several, without the starts of processes."""
        return sum(self.of(entry) for entry in waiting)


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(4.2), duration(47), duration(200), duration(5400), duration(28_900)
    ('4 s', '50 s', '3 min', '1 h 30 min', '8 h')
    """
    if seconds < 20:
        return f"{seconds:.0f} s"
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
