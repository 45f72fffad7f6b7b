"""The word of a host whose validation has ended: from how it ended there, and what was fetched of it."""

import re

from dgxcert.record.room.word import Word
from dgxcert.room.conduct.answer import Answer
from dgxcert.room.state import Ending, HostState

Said = tuple[Word, str, tuple[str, ...]]
"""A word, why in a sentence ("" for a validated host), and what to do."""

VERDICTS = (0, 1, 2)
"""Exit codes of a validation that has a verdict."""
DISK_FULL = re.compile(r"No space left on device|a full disk|Disk quota exceeded", re.IGNORECASE)
KILLED = {124: "it took longer than its time limit", 137: "it was killed (SIGKILL)", 143: "it was ended (SIGTERM)"}
"""Exit codes of timeout(1) and of a shell for what signals end."""


def way(answer: Answer) -> Ending:
    """How a validation ended that works no more. One that was stopped when all was measured has ended by itself.

    >>> way(Answer(state="stopped", exit=0, done=41, total=41)), way(Answer(state="stopped", exit=2, done=5, total=41))
    (<Ending.ENDED: 'ended'>, <Ending.STOPPED: 'stopped'>)
    """
    whole = answer.exit in VERDICTS and 0 < answer.total <= answer.done
    return Ending.ENDED if answer.state == "stopped" and whole else Ending(answer.state)


def of(host: HostState, again: str) -> Said:
    """The word of a host whose validation has ended and was fetched; `again` is the command that goes on with it.

    >>> of(HostState("a", ending=Ending.ENDED, exit=0, run="2026-12-01T02-00-00Z-a"), "dgxcert room run room.yaml")
    (<Word.VALIDATED: 'validated'>, '', ())
    """
    if host.ending is Ending.STOPPED:
        return Word.STOPPED, f"It was stopped{_how_far(host)}.", (f"Go on with it: {again}",)
    if host.ending is Ending.ENDED and host.exit in VERDICTS:
        if host.run:
            return Word.VALIDATED, "", ()
        return Word.DIED, f"It ended with exit code {host.exit}, and left no run.", _look(host, again)
    said = _without_name(host.said)
    if DISK_FULL.search(said):
        return Word.DISK, said, ("Look what fills it: df -h; df -i", f"Then go on: {again}")
    if host.ending is Ending.ENDED and host.exit == 3:
        return Word.NOT_STARTED, said or "It exited with 3 and said nothing.", _look(host, again)
    how = KILLED.get(host.exit or 0, f"it ended with exit code {host.exit}") if host.exit is not None else "it is gone"
    last = f" Its last words: {said}" if said else ""
    return Word.DIED, f"There is no verdict: {how}{_how_far(host)}.{last}", _look(host, again)


def _how_far(host: HostState) -> str:
    return f" after {host.done} of {host.total}" if host.total else ""


def _look(host: HostState, again: str) -> tuple[str, ...]:
    """Where its own output is, and how to go on."""
    return (f"Look into its output: less {host.name}/log.txt in the room's folder", f"Then go on: {again}")


def _without_name(said: str) -> str:
    """What the command said, without its name before it.

    >>> _without_name("dgxcert: No GPU was found.")
    'No GPU was found.'
    """
    return said.strip().removeprefix("dgxcert: ")
