"""The hand-over: what a container must know and nobody else may read, such as a token or the password of a proxy.

`docker inspect` shows the variables and arguments of a container to everybody who may use the engine, and a file would
outlive a process that is killed. So the image's entry (container/entry.py) asks for it on a socket, once, as it starts.
"""

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAME = "handover"
"""Of the socket, in the folder that a container finds at /run/dgxcert."""
ASKED_WITHIN_S = 600.0
"""The entry asks as soon as it runs; before that the engine may have to read the image from a slow disk."""
TAKEN_WITHIN_S = 10.0


@dataclass(frozen=True)
class Handover:
    """What is handed over. Its text shows nothing of it.

    >>> Handover("hf_secret", {"HTTPS_PROXY": "http://me:secret@proxy:3128"})
    Handover()
    """

    token: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def encoded(self) -> bytes:
        """The bytes that the entry reads."""
        return json.dumps({"token": self.token, "environment": dict(self.environment)}).encode()


def offer(folder: Path, handover: Handover) -> threading.Thread:
    """Offer it in a private folder to the first who asks, and nobody else; the thread ends with that.

    Raises OSError where there can be no socket.
    """
    listening = socket.socket(socket.AF_UNIX)
    try:
        with _handle(folder) as handle:  # a socket's path has at most 107 bytes, and a folder's may be longer
            listening.bind(f"/proc/self/fd/{handle}/{NAME}")
        listening.listen(1)
        listening.settimeout(ASKED_WITHIN_S)
    except OSError:
        listening.close()
        raise
    giving = threading.Thread(target=_give, args=(listening, folder, handover), name="hand-over", daemon=True)
    giving.start()
    return giving


def offer_after_exec(handover: Handover) -> Path:
    """Offer it from a process of its own, for a caller that becomes another program; returns the folder to mount.

    The folder is removed once it is empty. Raises OSError.
    """
    folder = Path(tempfile.mkdtemp(prefix="dgxcert-"))  # mode 0700
    ready, done = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()  # Ctrl-C in the caller's terminal is not for this process
            _leave_output()
            giving = offer(folder, handover)
            os.write(done, b".")
            os.close(done)
            giving.join()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
    os.close(done)
    offered = os.read(ready, 1)
    os.close(ready)
    if not offered:
        raise OSError(None, "no socket could be made for what is handed to the container", str(folder))
    return folder


def _leave_output() -> None:
    """Let go of the caller's output: who reads it through a pipe waits until nobody has it open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


@contextlib.contextmanager
def _handle(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _give(listening: socket.socket, folder: Path, handover: Handover) -> None:
    with contextlib.suppress(OSError), listening:  # nobody asked, or who asked is gone: then a container lacks it
        asking, _ = listening.accept()
        with contextlib.suppress(OSError):
            os.unlink(folder / NAME)
        with asking:
            asking.settimeout(TAKEN_WITHIN_S)
            asking.sendall(handover.encoded())
