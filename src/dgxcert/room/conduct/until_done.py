"""Conducting until every host has a word, and what Ctrl-C, SIGTERM and a lost terminal do meanwhile."""

import signal
import time
from collections.abc import Callable
from enum import Enum, auto

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.room.conduct.conductor import Conductor, View
from dgxcert.runner.interrupts import REPEAT_S, Stop

STOPPING = "Stopping what was started on the hosts; what is there is fetched. Ctrl-C once more leaves them as they are."
LEFT = "The controller was told to leave them as they are."
LOST = "The terminal of the controller was lost."


class How(Enum):
    """How a call ended."""

    DONE = auto()
    """Every host went its way to the end."""
    STOPPED = auto()
    """Somebody stopped it; what was begun on the hosts was stopped, too."""
    LEFT = auto()
    """The hosts were left as they are."""


def until_done(
    conductor: Conductor,
    view: View,
    signals: Stop,
    again: str,
    *,
    stopped: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> How:
    """Conduct; the first signal stops what was started on the hosts, another a second later leaves them.

    A lost terminal (SIGHUP) leaves the hosts working: nobody meant to stop them. With `stopped` they are stopped from
    the beginning. Raises CannotStart where it cannot go on, and says that the hosts do.
    """
    how, acted_s = How.DONE, float("-inf")
    if stopped:
        conductor.stop()
        how = How.STOPPED
    heeded = signals.count
    try:
        while not conductor.done:
            conductor.step()
            if signals.count == heeded:
                continue
            heeded = signals.count
            if clock() - acted_s < REPEAT_S:  # one Ctrl-C can arrive twice, by the terminal and by a make above
                continue
            acted_s = clock()
            if signals.last == signal.SIGHUP:
                conductor.leave(LOST)
                how = How.LEFT
            elif how is How.STOPPED:
                conductor.leave(LEFT)
                how = How.LEFT
            else:
                view.say(STOPPING)
                conductor.stop()
                how = How.STOPPED
        conductor.write_hosts()
    except CannotWrite as error:
        problem = f"{error.problem} What was begun on the hosts goes on."
        raise CannotStart(problem, error.step, f"Then go on: {again}") from error
    return how
