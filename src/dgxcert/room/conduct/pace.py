"""How often a host is looked at, and after how long it is given up."""

from dataclasses import dataclass

from dgxcert.judgement.requirement import Tier
from dgxcert.room.options import RoomOptions

FASTEST = 0.25
"""Of the time between two looks, where a host is nearly ready."""


@dataclass(frozen=True)
class Pace:
    """Times in seconds. A look costs a host 5 ms by `raw`, so that it disturbs no measurement."""

    look_s: float
    """Between two looks at a host that works."""
    give_up_s: float
    """After how long without a word from it a host that worked is given up: one that starts again, and a switch that
    is replaced, take minutes."""
    tries: int = 3
    """How often anything is tried on a host that had answered."""
    retry_s: float = 10.0

    def next_look_s(self, left_s: float | None) -> float:
        """When to look again at a host that expects to be ready in `left_s`.

        >>> [Pace(look_s=20, give_up_s=600).next_look_s(left_s) for left_s in (None, 300, 9, 0)]
        [20, 20, 9, 5.0]
        """
        return self.look_s if left_s is None else min(self.look_s, max(left_s, FASTEST * self.look_s))

    def next_try_s(self, lost: int) -> float:
        """When to look again at a host that could not be reached `lost` times in a row.

        >>> [Pace(look_s=20, give_up_s=600).next_try_s(lost) for lost in (1, 2, 9)]
        [20, 40, 60]
        """
        return self.look_s * min(lost, 3)


QUICK = Pace(look_s=5, give_up_s=40, retry_s=3)
WHOLE = Pace(look_s=20, give_up_s=600)


def of(options: RoomOptions) -> Pace:
    """The pace of a room: a quick one takes a minute, and is looked at more often and waited for less long."""
    return QUICK if options.tier is Tier.QUICK or options.only else WHOLE
