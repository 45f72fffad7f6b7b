"""Spending: on what a requirement spends its seconds, as its process counts them.

A span within another one counts for itself only, so that the sum is never more than what went by. What no span names is
the rest: of a check it is the check.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum

LEAST_S = 0.001
"""Less is not kept."""


class Spent(StrEnum):
    """What seconds are spent on."""

    BUILDING = "building"
    """Models, weights and inputs."""
    WARMING_UP = "warming up"
    """Rounds that do not count, and what is compiled and tried before them."""
    MEASURING = "measuring"
    """Rounds that count, and sustained load."""
    VERIFYING = "verifying"
    """What was computed, against a reference."""
    WAITING = "waiting"
    """For others to leave the machine alone."""


class Ledger:
    """The seconds of one requirement by what they are spent on; of the thread that measures.

    Spans of other threads count nothing: theirs are the same seconds, and would close a span that is not their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[Spent, float] = {}
        self._open: list[Spent] = []
        self._since = clock()
        self._thread = threading.get_ident()

    def begin(self) -> None:
        """Forget what was spent, for the next requirement, which this thread measures."""
        self._thread = threading.get_ident()
        self._seconds, self._open, self._since = {}, [], self._clock()

    @contextlib.contextmanager
    def on(self, what: Spent) -> Iterator[None]:
        """A span of work; also a decorator: `@LEDGER.on(Spent.BUILDING)`.

        >>> ledger = Ledger(clock=iter([0.0, 1.0, 3.0, 4.0, 9.0]).__next__)
        >>> with ledger.on(Spent.BUILDING):
        ...     with ledger.on(Spent.WAITING):
        ...         pass
        >>> {what.value: seconds for what, seconds in ledger.seconds.items()}
        {'building': 7.0, 'waiting': 1.0}
        """
        if threading.get_ident() != self._thread:
            yield
            return
        self._book()
        self._open.append(what)
        depth = len(self._open)
        try:
            yield
        finally:
            self._book()
            del self._open[depth - 1 :]  # what was left open within it, too

    def turn_to(self, what: Spent) -> None:
        """Count the rest of the innermost span for something else; outside of a span nothing."""
        if self._open and threading.get_ident() == self._thread:
            self._book()
            self._open[-1] = what

    def _book(self) -> None:
        """Put down what went by since the last change."""
        now = self._clock()
        if self._open:
            what = self._open[-1]
            self._seconds[what] = self._seconds.get(what, 0.0) + now - self._since
        self._since = now

    @property
    def seconds(self) -> "dict[Spent, float]":
        """What was spent in closed spans, in the order of `Spent`."""
        return {what: round(self._seconds[what], 3) for what in Spent if self._seconds.get(what, 0.0) >= LEAST_S}


LEDGER = Ledger()
"""That of this process, for the requirement that it measures."""
