"""The supervisor's end of the channel: it hands a child its brief, hears what it says, and acknowledges it.

Nothing here waits for a child: a child that neither reads nor writes, or writes without end, costs memory for one line.
"""

import contextlib
import json
import os
import select
import time
from typing import IO, Any

from dgxcert.runner.channel.seal import LONGEST, TO_CHILD, TO_SUPERVISOR, Forged, Seal, new_secret
from dgxcert.runner.channel.speaker import READY

CHUNK = 65536
NOISE = 65536
"""Bytes that may come before a child is ready: an engine or an image's entry point can print something."""
SHOWN = 200


class Unfit(Exception):  # noqa: N818 (reads as `raise Unfit`)
    """What a child has said and may not; the message says why."""

    def __init__(self, said: bytes, why: str) -> None:
        super().__init__(why)
        self.said = said[:SHOWN].decode("utf-8", errors="replace")
        self.why = why


class Listener:
    """One child's channel, over the pipes of its standard input and output."""

    def __init__(self, to: IO[bytes] | None, from_: IO[bytes] | None, log: IO[bytes]) -> None:
        """`to` and `from_` are the pipes of a started child; `log` takes what comes before it is ready."""
        if to is None or from_ is None:
            raise TypeError("a child is started with pipes")
        self._to, self._from, self._log = to, from_, log
        secret = new_secret()
        self._secret = secret
        self._heard, self._seal = Seal(secret, TO_SUPERVISOR), Seal(secret, TO_CHILD)
        self._outgoing, self._incoming = bytearray(), bytearray()
        self._ready = self._ended = False
        self._noise = 0
        for pipe in (self._to, self._from):
            os.set_blocking(pipe.fileno(), False)

    def hand(self, content: dict[str, Any]) -> None:
        """Hand a child what it must know before it begins, with its secret."""
        self._outgoing += json.dumps({"secret": self._secret, **content}).encode() + b"\n"
        self._write()

    def hear(self, wait_s: float) -> list[bytes]:
        """What the child has said since the last call; waits for at most `wait_s` for the first of it.

        A child waits for the acknowledgement of each message. Raises Unfit where it has said what is no message.
        """
        if self._ended:
            time.sleep(wait_s)
            return []
        waiting = select.poll()
        waiting.register(self._from, select.POLLIN)
        if self._outgoing:
            waiting.register(self._to, select.POLLOUT)
        waiting.poll(wait_s * 1000)
        self._write()
        self._read()
        return [message for line in self._lines() if (message := self._message(line)) is not None]

    def acknowledge(self) -> None:
        """Tell the child that what it said last is recorded."""
        self._outgoing += self._seal.sealed(b"")
        self._write()

    def close(self) -> None:
        """Close both pipes, which ends a child that still lives."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()

    def _message(self, line: bytes) -> bytes | None:
        """A message of the child; None for what comes before it is ready, which goes into its log."""
        try:
            message = self._heard.opened(line)
        except Forged as error:
            if self._ready:
                raise Unfit(line, str(error)) from error
            self._noise += len(line) + 1
            if self._noise > NOISE:
                raise Unfit(line, "it printed without end before it was ready") from error
            self._log.write(line + b"\n")
            self._log.flush()
            return None
        if self._ready:
            return message
        if message != READY:
            raise Unfit(message, "it was not ready yet")
        self._ready = True
        self.acknowledge()
        return None

    def _lines(self) -> list[bytes]:
        *lines, rest = self._incoming.split(b"\n")
        if len(rest) > LONGEST or any(len(line) > LONGEST for line in lines):
            raise Unfit(bytes(self._incoming[:SHOWN]), f"it is longer than {LONGEST} bytes")
        self._incoming = rest
        return [bytes(line) for line in lines]

    def _read(self) -> None:
        """Take what has arrived, a little more than one line of the longest at most."""
        with contextlib.suppress(BlockingIOError):
            while len(self._incoming) <= LONGEST:
                chunk = os.read(self._from.fileno(), CHUNK)
                if not chunk:
                    self._ended = True
                    return
                self._incoming += chunk

    def _write(self) -> None:
        """Write what the pipe takes; the rest waits for `hear`."""
        try:
            while self._outgoing:
                written = os.write(self._to.fileno(), self._outgoing)
                del self._outgoing[:written]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._outgoing.clear()  # it has ended, which its supervisor will see
