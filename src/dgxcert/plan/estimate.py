"""How long what is left of a run takes: by earlier runs of this machine, else as declared, and by this run so far."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dgxcert.plan import lanes
from dgxcert.plan.selection import Planned

PROCESS_S = 3.0
"""To start a process of a stage, import torch where it works, and end it: 1.5 to 5.7 s between stages on an H200."""
DOUBT_OF_ALL, DOUBT_OF_CASES = 0.1, 3.0
"""How much must be seen to count as much as what was expected: a tenth of the run, and three cases of a requirement."""

HALF_LIFE_S = 60.0
"""After which what was seen counts half: who else works on a machine comes and goes."""

NOTHING: Mapping[str, float] = {}


@dataclass
class _Pace:
    """Seconds that requirements took, and that were expected of them; what is longer ago counts less."""

    took_s: float = 0.0
    expected_s: float = 0.0
    at_s: float = 0.0

    def at(self, now_s: float) -> "_Pace":
        """This pace as it counts by then."""
        share = 0.5 ** ((now_s - self.at_s) / HALF_LIFE_S)
        return _Pace(share * self.took_s, share * self.expected_s, now_s)

    def beside(self, before: float, doubt_s: float) -> float:
        """Seconds taken for each second expected, where `before` has the weight of `doubt_s` seconds."""
        weight = self.expected_s + doubt_s
        return (self.took_s + before * doubt_s) / weight if weight else before


class Estimate:
    """Expected seconds of each requirement of a run, corrected by those that have ended.

    `known` are the seconds of this machine's earlier runs by key; what has none takes `takes_s`. What took longer than
    expected says that the rest will, more so of the other cases of the same requirement, and less the longer ago it is.
    What is known from this machine's past is corrected apart from what is declared, which was measured on another one.

    >>> Estimate((), {}).left(())
    0
    """

    def __init__(self, plan: Iterable[Planned], known: Mapping[str, float]) -> None:
        self._known = known
        self._doubt_s = DOUBT_OF_ALL * sum(self.before(entry) for entry in plan)
        self._now_s = 0.0
        self._all: dict[bool, _Pace] = defaultdict(_Pace)
        self._cases: dict[tuple[bool, str], _Pace] = defaultdict(_Pace)

    def took(self, entry: Planned, seconds: float) -> None:
        """A requirement has ended after that many seconds."""
        self._now_s += seconds
        known, expected_s = entry.key in self._known, self.before(entry)
        before, of_cases = (self._at(pace) for pace in (self._all[known], self._cases[known, entry.id]))
        self._all[known] = _Pace(before.took_s + seconds, before.expected_s + expected_s, self._now_s)
        self._cases[known, entry.id] = _Pace(of_cases.took_s + seconds, of_cases.expected_s + expected_s, self._now_s)

    def before(self, entry: Planned) -> float:
        """Seconds that were expected of a requirement before the run."""
        return self._known.get(entry.key, entry.takes_s)

    def of(self, entry: Planned) -> float:
        """Seconds that are expected of a requirement by now."""
        known, expected_s = entry.key in self._known, self.before(entry)
        pace = self._at(self._all[known]).beside(1.0, self._doubt_s)
        return self._at(self._cases[known, entry.id]).beside(pace, DOUBT_OF_CASES * expected_s) * expected_s

    def _at(self, pace: _Pace) -> _Pace:
        return pace.at(self._now_s)

    def left(self, waiting: Iterable[Planned], spent_s: Mapping[str, float] = NOTHING) -> float:
        """Seconds that pass until several have ended, without the starts of processes: lanes run at the same time.

        `spent_s` are the seconds that what is being measured has taken, by key.
        """
        return lanes.elapsed_s(waiting, lambda entry: max(self.of(entry) - spent_s.get(entry.key, 0.0), 0.0))


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
