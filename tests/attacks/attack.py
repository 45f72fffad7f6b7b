"""What an attack is, and how its results are judged and counted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

TRACEBACK = "Traceback (most recent call last)"
OUTPUT_AT_MOST = 50_000_000


class Harm(Enum):
    """What must never come of an attack."""

    WRONG = "wrong"
    """A verdict, a signature or a figure that is not true, a result lost, or a healthy input refused."""
    TRACEBACK = "traceback"
    """A bug of dgxcert shows instead of a sentence."""
    HANG = "hang"
    """No answer within the limit of the attack."""
    LEAK = "leak"
    """A secret left its process."""
    ESCAPE = "escape"
    """Something changed outside the folder that the attacked part owns."""


class Try(NamedTuple):
    """One try of an attack: what was tried, and what harm came of it (None: it held)."""

    name: str
    harm: Harm | None = None
    shown: str = ""
    """What was seen, for who reads a failure."""


class Missing(Exception):
    """What the attack cannot do without is not here; the message names it: "there is no container engine"."""


class Tries(Protocol):
    """A generator function of tries."""

    def __call__(self, folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
        """Yield each try as soon as it is over."""


@dataclass(frozen=True)
class Attack:
    """All attacks on one subject.

    `tries` is given a folder of its own, a seed, and whether to be quick: under six seconds, a part that stands for the
    whole; otherwise at most a minute. It raises Missing where it cannot begin.
    """

    subject: str
    what: str
    """One line for the table: what is tried."""
    tries: Tries


@dataclass
class Tally:
    """What came of all tries of one attack."""

    subject: str
    what: str
    took_s: float = 0.0
    tried: int = 0
    missing: str = ""
    """Why nothing could be tried."""
    harmed: list[Try] = field(default_factory=list)

    def count(self, harm: Harm) -> int:
        """How many tries did this harm."""
        return sum(each.harm is harm for each in self.harmed)


class Ending(NamedTuple):
    """How a command ended; `returncode` is None where it hung and was killed."""

    returncode: int | None
    output: str


def dgxcert(*words: str | Path, folder: Path, limit_s: float = 30, **variables: str) -> Ending:
    """Type a command of dgxcert in a folder, in a process group of its own, and wait for at most `limit_s`."""
    return typed([sys.executable, "-m", "dgxcert", *map(str, words)], folder=folder, limit_s=limit_s, **variables)


def typed(words: Sequence[str], *, folder: Path, limit_s: float = 30, **variables: str) -> Ending:
    """Run any command as `dgxcert` does."""
    with (folder / ".output").open("w+b") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            returncode: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            returncode = None
        output.seek(0)
        return Ending(returncode, output.read(OUTPUT_AT_MOST).decode("utf-8", errors="replace"))


def judged(name: str, ending: Ending, allowed: Sequence[int] = (0, 1, 2, 3), secrets: Sequence[str] = ()) -> Try:
    """The try of a command: a hang, a traceback, a secret on the screen and an unknown exit code are harm."""
    shown = ending.output[-2000:]
    if ending.returncode is None:
        return Try(name, Harm.HANG, shown)
    if TRACEBACK in ending.output:
        return Try(name, Harm.TRACEBACK, shown)
    if any(secret in ending.output for secret in secrets):
        return Try(name, Harm.LEAK, shown)
    if ending.returncode not in allowed:
        return Try(name, Harm.WRONG, f"exit code {ending.returncode}\n{shown}")
    return Try(name)
