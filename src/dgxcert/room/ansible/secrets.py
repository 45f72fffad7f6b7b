"""Passwords for a room: asked once, held in memory, and handed to Ansible through a pipe with a name.

They are in no argument, variable, file or log. The pipe lies in a folder that nobody else can enter, and gives its
content once.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dgxcert.redaction import spelling, values
from dgxcert.redaction.grammar import MARK
from dgxcert.room.ansible.events import HostEvent

LOOK_S = 0.02


@dataclass(frozen=True)
class Secrets:
    """The passwords of a room. Its text shows nothing of them.

    >>> Secrets(login="secret")
    Secrets()
    """

    login: str = field(default="", repr=False)
    """For SSH; "" where keys or an agent are used."""
    sudo: str = field(default="", repr=False)
    """For sudo; "" where it asks for none."""

    def hidden(self, event: HostEvent) -> HostEvent:
        """An event without the passwords, in whatever spelling a host says them.

        >>> Secrets(sudo="x7Qm2kLp").hidden(HostEvent("", "ok", "a", "answers", stdout="got x7Qm2kLp")).stdout
        'got [secret]'
        """
        for secret in filter(values.is_worth_hiding, {self.login, self.sudo}):
            pattern = spelling.pattern(secret)
            stdout, stderr, msg = (pattern.sub(MARK, text) for text in (event.stdout, event.stderr, event.msg))
            event = replace(event, stdout=stdout, stderr=stderr, msg=msg)
        return event


def hand(secret: str, path: Path, alive: Callable[[], bool]) -> threading.Thread:
    """Make a pipe at the path, and give the secret to the first who reads it, as long as `alive()`."""
    os.mkfifo(path, 0o600)
    thread = threading.Thread(target=_give, args=(secret, path, alive), name="password", daemon=True)
    thread.start()
    return thread


def _give(secret: str, path: Path, alive: Callable[[], bool]) -> None:
    wait = threading.Event()
    while alive():
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                return
            wait.wait(LOOK_S)
            continue
        with os.fdopen(pipe, "wb") as file, contextlib.suppress(BrokenPipeError):
            file.write(secret.encode() + b"\n")
        return
