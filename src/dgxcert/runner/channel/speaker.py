"""The child's end of the channel: it is told what to do, says what happens, and ends when its supervisor does.

Standard input and output carry the channel, natively and through `docker compose run -T` alike: no file, no path, no
variable and no argument leads to it. Both are taken over before any check is imported. From then on what a check reads
is empty, what it prints goes where standard error goes, and no program that it starts inherits the channel.
"""

import contextlib
import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from dgxcert import command
from dgxcert.record.event_text import said
from dgxcert.record.journal import Event
from dgxcert.runner.channel.seal import TO_CHILD, TO_SUPERVISOR, Forged, Seal

READY = b"ready"
"""The first message of a child: from here on nothing but messages may come."""
LAST_WORD_S = 5.0
"""How long a child that is about to kill itself waits for its last message to be recorded."""
PRIVATE = 64
"""Descriptors from here on are not closed or reused by programs that count on 0, 1, 2 and a few more."""
CHUNK = 65536


class Speaker:
    """Says events to the supervisor; each is on the disk when `say` returns."""

    def __init__(self, hears: int, says: int, secret: str, rest: bytes) -> None:
        self._hears, self._says = hears, says
        self._seal = Seal(secret, TO_SUPERVISOR)
        self._turn = threading.Lock()
        self._said = self._recorded = 0
        self._news = threading.Condition()
        heard = Seal(secret, TO_CHILD)
        os.register_at_fork(after_in_child=self._close)
        threading.Thread(target=self._listen, args=(heard, rest), name="supervisor watch", daemon=True).start()
        self._say(READY)

    def say(self, event: Event) -> None:
        """Say an event, and wait until it is recorded."""
        self._say(said(event).encode())

    def say_last(self, event: Event) -> None:
        """Say an event as `say` does, but wait only for a moment, also for what another thread is saying."""
        self._say(said(event).encode(), LAST_WORD_S)

    def _say(self, message: bytes, timeout_s: float | None = None) -> None:
        if not self._turn.acquire(timeout=-1 if timeout_s is None else timeout_s):
            return
        try:
            if self._says < 0:
                raise ProcessLookupError("only the process that the supervisor started can speak to it")
            self._said += 1
            line = memoryview(self._seal.sealed(message))
            while line:
                line = line[os.write(self._says, line) :]
            with self._news:
                self._news.wait_for(lambda: self._recorded >= self._said, timeout_s)
        except BrokenPipeError:
            end()  # nobody listens: what this process measures from now on would be lost
        finally:
            self._turn.release()

    def _listen(self, heard: Seal, rest: bytes) -> None:
        """Count what was recorded; end this process with its supervisor, or where somebody else speaks to it."""
        try:
            for line in _lines(self._hears, rest):
                heard.opened(line)
                with self._news:
                    self._recorded += 1
                    self._news.notify_all()
        except (Forged, OSError):
            pass
        end()

    def _close(self) -> None:
        """Leave the channel to the process that has it; this is a fork of it."""
        for descriptor in (self._hears, self._says):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._hears = self._says = -1
        self._turn = threading.Lock()  # it may have been held when the process was forked


def end() -> None:
    """Kill this process and everything that it started, at once."""
    command.kill_below()
    os.kill(os.getpid(), signal.SIGKILL)  # SIGTERM would run handlers, which allocate


def take_over() -> tuple[Callable[[], Speaker], dict[str, Any]]:
    """Take standard input and output for the channel; returns how to begin to speak, and what was handed in.

    Raises ValueError where nothing of a supervisor comes from standard input.
    """
    hears, says = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, PRIVATE) for number in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    handed, rest = _first_line(hears)
    content = json.loads(handed)
    secret = content.pop("secret")
    return lambda: Speaker(hears, says, secret, rest), content


def _first_line(descriptor: int) -> tuple[bytes, bytes]:
    """The first line, and what was read after it."""
    read = bytearray()
    while b"\n" not in read and (chunk := os.read(descriptor, CHUNK)):
        read += chunk
    line, _, rest = bytes(read).partition(b"\n")
    return line, rest


def _lines(descriptor: int, rest: bytes) -> Iterator[bytes]:
    """Whole lines, until the other end is closed."""
    while True:
        *lines, rest = rest.split(b"\n")
        yield from lines
        chunk = os.read(descriptor, CHUNK)
        if not chunk:
            return
        rest += chunk
