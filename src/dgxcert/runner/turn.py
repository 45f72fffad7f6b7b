"""One validation at a time measures on a machine: a second one would slow the first and be slowed by it.

The turn is a lock on a file that all users share. The kernel gives it back when its process ends, however it ends.
"""

import fcntl
import json
import os
import pwd
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dgxcert.outcome import CannotStart
from dgxcert.record import journal

NAME = "dgxcert-measuring.lock"
LONGEST = 4096
"""Bytes read of what is written about the process whose turn it is; any user can write there."""


def path() -> Path:
    """The file of the lock, in the folder for temporary files."""
    return Path(tempfile.gettempdir()) / NAME


@contextmanager
def taken(results: Path) -> Iterator[None]:
    """Take the turn for as long as the block runs.

    Raises CannotStart where another process has it, saying which, and where the file cannot be opened.
    """
    file = _opened(path())
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _other(_holder(file)) from None
        except OSError:  # a file system without locks, as some network ones: nobody can take turns there
            pass
        _write_holder(file, results)
        yield
        _clear(file)
    finally:
        os.close(file)


def _opened(place: Path) -> int:
    """The lock's file, made where it is missing; never through a link, and never anything but a plain file.

    Another user's file in a shared folder must be opened without O_CREAT (fs.protected_regular), and may be read-only.
    """
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR, os.O_RDONLY):
        try:
            file = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except (FileNotFoundError, FileExistsError, PermissionError):
            continue
        except OSError as error:
            raise _unusable(place, error.strerror or str(error)) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise _unusable(place, "it is not a plain file")
        with suppress(OSError):  # where it is another user's
            os.fchmod(file, 0o666)  # whatever the umask: the next user must be able to write who has the turn
        return file
    raise _unusable(place, "it can neither be opened nor made")


def _unusable(place: Path, why: str) -> CannotStart:
    return CannotStart(
        f"{place}, by which validations on one machine take turns, cannot be used: {why}.",
        f"Look at it: ls -l {place}; or set TMPDIR to a folder of your own.",
    )


def _write_holder(file: int, results: Path) -> None:
    about = {"pid": os.getpid(), "since": journal.now(), "results": str(results.resolve()), "user": _user(os.getuid())}
    with suppress(OSError):  # another user's read-only file, or a full disk: then the lock holds without a name
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(about).encode(), 0)


def _clear(file: int) -> None:
    with suppress(OSError):
        os.ftruncate(file, 0)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _holder(file: int) -> dict[str, str]:
    """What the process whose turn it is has written about itself; empty where that is not there, or not its own."""
    try:
        about = json.loads(os.pread(file, LONGEST, 0))
        pid = int(about["pid"])
        texts = {name: re.sub(r"[^\w./:-]", "?", str(about[name])) for name in ("since", "results", "user")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {"pid": str(pid), **texts} if Path(f"/proc/{pid}").exists() else {}


def _other(holder: dict[str, str]) -> CannotStart:
    why = "two at a time would slow each other, and both would measure that"
    if not holder:
        return CannotStart(
            f"Another validation is measuring on this machine: {why}.",
            f"Wait until it has ended; `fuser {path()}` shows its process id.",
        )
    return CannotStart(
        f"Another validation is measuring on this machine: process {holder['pid']} of {holder['user']}, since "
        f"{holder['since']}, with results in {holder['results']}; {why}.",
        f"Start again when it has ended; to wait for it: tail --pid={holder['pid']} -f /dev/null",
    )
