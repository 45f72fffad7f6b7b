"""Signals that end a run: Ctrl-C, Ctrl-\\, SIGTERM, a lost terminal. None of them ends it before its verdict is shown.

A signal can arrive between any two steps of Python. Where a run cleans up, records or reports, an exception at such a
moment would leave a container running or a verdict unprinted, so that signals are only counted there (`held`), and the
run looks at the count where it can end. Where it waits for something long, the first one raises KeyboardInterrupt.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
REPEAT_S = 1.0
"""After a signal has raised KeyboardInterrupt, others only count for so long: what it ends needs time to clean up."""


class Stop:
    """The signals that have arrived, and whether the next one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.count = 0
        """Signals since they are held."""
        self.last: int | None = None
        """The number of the last one."""
        self.raises = True
        self._raised_at = float("-inf")

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self.count += 1
        self.last = number
        now = time.monotonic()
        if self.raises and now - self._raised_at > REPEAT_S:
            self._raised_at = now
            raise KeyboardInterrupt

    @property
    def has_just_raised(self) -> bool:
        """Whether an error may be what a library made of the KeyboardInterrupt that it caught."""
        return time.monotonic() - self._raised_at <= REPEAT_S

    def check(self, beyond: int = 0) -> None:
        """Raise KeyboardInterrupt where more than `beyond` signals have arrived."""
        if self.count > beyond:
            raise KeyboardInterrupt

    @contextmanager
    def raising(self, beyond: int = 0) -> Iterator[None]:
        """Raise KeyboardInterrupt at once within the block, also for a signal that came before and was only counted."""
        before = self.raises
        self.raises = True
        try:
            self.check(beyond)
            yield
        finally:
            self.raises = before


_heeded: list[Stop] = []
"""The one whose handlers are installed; signals belong to the process, and so does this."""


@contextmanager
def heeded() -> Iterator[Stop]:
    """Every signal that ends a command raises KeyboardInterrupt within the block.

    One that was ignored when the process began stays so: `nohup` starts a run that is to outlive its terminal.
    """
    if _heeded:
        yield _heeded[0]
        return
    stop = Stop()
    handled = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop.take) for number in handled}
    _heeded.append(stop)
    try:
        yield stop
    finally:
        _heeded.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[Stop]:
    """Signals are only counted within the block, except where it says otherwise (`Stop.raising`).

    >>> with held() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    >>> stop.count
    1
    """
    with heeded() as stop:
        before = stop.raises
        if before:
            stop.count = 0
        stop.raises = False
        try:
            yield stop
        finally:
            stop.raises = before


def ignore() -> None:
    """Ignore all of them: the process is about to end with the exit code that it has."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
