"""Exit codes of the commands, one enum for each command that has its own meanings.

The exit code of `validate` and `show` is that of the verdict, `ready` has that of its checklist, and `compare` that of
its comparison.
"""

from enum import IntEnum


class CannotRun(IntEnum):
    """Any command that did not do its work."""

    CANNOT_START = 3
    """It could not start, or not finish: what it had found by then is on the screen."""
    INTERRUPTED = 130
    """What typer returns for Ctrl-C; `main` turns it into CANNOT_START."""


class Cache(IntEnum):
    """`make cache`."""

    COMPLETE = 0
    INCOMPLETE = 1


class Hub(IntEnum):
    """`dgxcert hub`."""

    WORKS = 0
    FAILS = 1
    UNKNOWN = 2
    """Nothing is known: the Hub does not answer, or has an outage."""


class Verify(IntEnum):
    """`dgxcert verify`."""

    CERTIFICATE = 0
    REFUSED = 1
    REPORT = 2


class Room(IntEnum):
    """`dgxcert room run`, `merge` and `show`: by the worst machine or pair of the room; `check`: 0 or 2."""

    ALL_WELL = 0
    """Every machine certified, rehearsed or partial, every pair passed."""
    REJECTED = 1
    """A machine was rejected, or a pair failed."""
    INCONCLUSIVE = 2
    """A machine or a pair was inconclusive or not validated."""


class Drift(IntEnum):
    """`dgxcert drift`."""

    VALID = 0
    INVALID = 1
    UNKNOWN = 2
