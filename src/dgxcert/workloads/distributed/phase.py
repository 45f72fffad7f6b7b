"""Phase: what a rank is at, kept in a file, so that one that hangs or dies is named with the phase it was last in."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

LONGEST = 200
"""Characters of a phase that are kept."""

_file = -1
"""The file of this process; none outside of a rank, where a phase is not kept."""


@dataclass(frozen=True)
class Phase:
    """What a rank was at since `at_s`, monotonic time, which all processes of a machine share."""

    name: str
    at_s: float
    pid: int


def keep(file: Path) -> None:
    """Keep the phases of this process in a file from now on."""
    global _file
    _file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def enter(name: str) -> None:
    """Say what this rank does from now on. All ranks say the same phases in the same order, or none can be named."""
    if _file >= 0:
        line = json.dumps({"name": name[:LONGEST], "at_s": time.monotonic(), "pid": os.getpid()})
        os.write(_file, f"{line}\n".encode())


def parse(text: str) -> tuple[Phase, ...]:
    r"""The phases of a rank, in order; a line that was cut off by its death is none.

    >>> parse('{"name": "joining the others", "at_s": 12.5, "pid": 41}\n{"name": "at w')
    (Phase(name='joining the others', at_s=12.5, pid=41),)
    """
    return tuple(Phase(**json.loads(line)) for line in text.splitlines() if line.endswith("}"))
