"""Passwords for a room: asked once, held in memory, and handed to Ansible through a pipe with a name.

They are in no argument, variable, file or log. The pipe lies in a folder that nobody else can enter, and gives its
content once.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

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
