"""The lifeline: while both ends work, each tells the other every second what it is at, and hears when it ends.

So an end knows within seconds that the other one died, stopped, or is silent, and says so with the phase that it was
last at, where NCCL would wait for ten minutes and say that a collective timed out. It goes over the link itself: a
cable that is pulled is silent too.
"""

import contextlib
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dgxcert.console import on_one_line
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.pairs.greeting import Connection

BEAT_S = 1.0
SILENT_S = 20.0
"""A machine that is busy says something within a second; one that is stopped, or behind a pulled cable, never does."""
LONGEST = 300
AFTERMATH_S = 3.0
"""How long an end that met an error listens for the reason: the other one may have caused it."""
LOOK = (
    "Read what the other end says: its answer and its log.",
    "Look whether it runs, and whether the cable carries: ping, ip -br link; sudo dmesg | tail -50 on both",
)


@dataclass(frozen=True)
class Lost:
    """Why the other end is of no use any more."""

    how: str
    phase: str
    """What it was last at, as it said itself."""

    def error(self, host: str, mine: str) -> Inconclusive:
        """The error of this end, which was at the phase `mine`."""
        return Inconclusive(f"{host} {self.how}, last at: {self.phase}; this end was at: {mine}", *LOOK)


class Lifeline:
    """The connection of both ends while they work, in a thread of its own."""

    def __init__(self, connection: Connection, phase: Callable[[], str], silent_s: float = SILENT_S) -> None:
        """`phase` says what this end is at."""
        self._connection, self._phase, self._silent_s = connection, phase, silent_s
        self._theirs = "greeting"
        self._closing = threading.Event()
        self._sending = threading.Lock()
        self.lost: Lost | None = None
        """None while the other end works, and where it has done all its work."""
        self.done = False
        """Whether the other end said that it has done all its work."""
        self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)

    def start(self) -> None:
        """Begin to tell and to hear."""
        self._connection.socket.settimeout(BEAT_S)
        self._thread.start()

    def await_reason(self) -> None:
        """Give the other end a moment to say why this one met an error."""
        deadline = time.monotonic() + AFTERMATH_S
        while self.lost is None and not self.done and time.monotonic() < deadline:
            time.sleep(BEAT_S / 20)

    def end(self, stopped: str) -> None:
        """Tell the other end that this one has done its work, or in a sentence why not, and close."""
        self._closing.set()
        self._say({"ended": stopped[:LONGEST]})
        with contextlib.suppress(RuntimeError):  # it was never started
            self._thread.join(2 * BEAT_S)
        self._connection.socket.close()

    def _say(self, message: dict[str, str]) -> None:
        with self._sending, contextlib.suppress(OSError):  # its silence is what is noticed, not that it hears nothing
            self._connection.say(message)

    def _run(self) -> None:
        heard, said = time.monotonic(), 0.0
        while not self._closing.is_set() and self.lost is None and not self.done:
            now = time.monotonic()
            if now - said >= BEAT_S:
                self._say({"at": self._phase()[:LONGEST]})
                said = now
            if self._hear():
                heard = now
            elif now - heard > self._silent_s:
                self.lost = Lost(f"has been silent for {self._silent_s:.0f} s", self._theirs)

    def _hear(self) -> bool:
        """Whether something came within a beat."""
        try:
            if not select.select([self._connection.socket], [], [], BEAT_S / 4)[0]:
                return False
            lines = self._connection.lines()
        except TimeoutError:
            return False
        except OSError as error:
            self.lost = Lost(f"ended without a word ({error.strerror or error})", self._theirs)
            return True
        if lines is None:
            self.lost = Lost("ended without a word", self._theirs)
            return True
        for line in lines:
            if "ended" in line:
                self._end_of_other(_plain(line["ended"]))
            elif "at" in line:
                self._theirs = _plain(line["at"])
        return True

    def _end_of_other(self, stopped: str) -> None:
        if stopped:
            self.lost = Lost(f"stopped: {stopped}", self._theirs)
        else:
            self.done = True


def _plain(said: object) -> str:
    return on_one_line(str(said))[:LONGEST]
