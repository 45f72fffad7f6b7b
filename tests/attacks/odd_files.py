"""Files that nobody would keep on purpose, and calls that must answer within a time limit, in this process."""

import contextlib
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from attacks.attack import Harm, Try

from dgxcert.outcome import DgxcertError

LIMIT_S = 20
HUGE = 100_000_000
GARBAGE = b"\xff\xfe garbage \x1b[2J\n" * 20_000
DEEP = b'{"a":' * 100_000

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x1b[2J\nCERTIFIED",
    "\ud800",
    "../../../etc/passwd",
    "x" * 100_000,
    [],
    [1, "a", None],
    {},
    {"a": {"b": []}},
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
)
"""What takes the place of a value of a JSON document."""


class Late(Exception):
    """The limit is over."""


def bind(path: Path) -> None:
    """A socket in the file system."""
    here = os.open(path.parent, os.O_RDONLY)  # the name of a socket is at most 108 bytes long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def sparse(path: Path) -> None:
    """A file of 100 MB of zeros, without any on the disk."""
    path.touch()
    os.truncate(path, HUGE)


def unreadable(path: Path) -> None:
    """A file that only root may read."""
    path.write_bytes(b"{}")
    path.chmod(0)


def content(text: bytes) -> Callable[[Path], object]:
    """A maker of a file with some content."""
    return lambda path: path.write_bytes(text)


ODD: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": bind,
    "a folder": Path.mkdir,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "100 MB of zeros": sparse,
    "without permission": unreadable,
    "empty": content(b""),
    "20,000 lines of garbage": content(GARBAGE),
    "nested 100,000 deep": content(DEEP),
    "no object": content(b"[]"),
    "an empty object": content(b"{}"),
    "null": content(b"null"),
    "NaN": content(b"NaN"),
    "Infinity": content(b'{"benchmarks": Infinity}'),
    "1e400": content(b"1e400"),
    "a huge integer": content(b"9" * 5000),
    "zeros": content(b"\0" * 5000),
    "a surrogate": content(b'"\\ud800"'),
    "not UTF-8": content(b'{"a": "\xff\xfe"}'),
}
"""Makers of odd files by what they are."""

NAMES = (b"\xff\xfe", b"\x1b[2J", b"a\nCERTIFIED", b"x" * 255, "\u202eevil".encode(), b" ", b"-rf", b"$(id)")
"""Names of files that are legal and odd."""


def removed(path: Path) -> None:
    """Remove whatever is at a path."""
    import shutil

    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def mutated(document: Any, chance: random.Random) -> tuple[str, Any]:
    """A copy of a JSON document in which one value is another, or missing; and where that is."""
    import copy

    changed = copy.deepcopy(document)
    at, where = changed, []
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = chance.choice(keys)
        where.append(str(key))
        if isinstance(at[key], dict | list) and at[key] and chance.random() < 0.85:
            at = at[key]
            continue
        if chance.random() < 0.1:
            del at[key]
            return f"without {'.'.join(where)}", changed
        at[key] = chance.choice(VALUES)
        return f"{'.'.join(where)} = {ascii(at[key])[:40]}", changed


def called(name: str, call: Callable[[], object]) -> tuple[Try, object]:
    """Call within the limit, and what it returned. Only a refusal in one line may come of it, or an answer."""
    try:
        with _limited():
            return Try(name), call()
    except Late:
        return Try(name, Harm.HANG, f"no answer within {LIMIT_S} s"), None
    except DgxcertError as error:
        lines = str(error).splitlines()
        return (Try(name, Harm.WRONG, f"more than a line: {lines[:3]}") if len(lines) > 1 else Try(name)), None
    except Exception as error:
        return Try(name, Harm.TRACEBACK, f"{type(error).__name__}: {str(error)[:500]}"), None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def late(_number: int, _frame: FrameType | None) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
