"""`events.jsonl` of a room: one line per event, written as it happens, and read back whatever ended its writer."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from dgxcert.files.atomic import EVIDENCE
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.room.state import RoomEvent

NAME = "events.jsonl"
LONGEST = 256 * 1024
"""Bytes of a line that are read: a longer one is none of ours."""
LASTING = ("begun", "exit", "fetched", "word")
"""The kinds of events that are synced to the disk: what a power cut must not take back."""


class Writer:
    """Appends events; use it in a `with` statement. A writer that was killed may have left half a line: it is ended.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / NAME
    >>> with Writer(path) as writer:
    ...     writer.write(RoomEvent(at="2026-12-01T02:00:00+00:00", host="spark-01", kind="begun"))
    >>> [event.kind for event in read(path)]
    ['begun']
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises CannotWrite."""
        self._path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(path, flags, EVIDENCE)
            size = os.fstat(self._file).st_size
            self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        except OSError as error:
            raise CannotWrite(path, error) from error

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, event: RoomEvent) -> None:
        """Append an event. Raises CannotWrite, after which what was written of the line is ended by the next."""
        line = event.model_dump_json(exclude_defaults=True).encode() + b"\n"
        try:
            self._append(b"\n" + line if self._torn else line)
            if event.kind in LASTING:
                os.fsync(self._file)
        except OSError as error:
            raise CannotWrite(self._path, error) from error

    def _append(self, content: bytes) -> None:
        self._torn = True  # until all of it is there: a full disk takes a part
        while content:
            content = content[os.write(self._file, content) :]
        self._torn = False


def read(path: Path) -> Iterator[RoomEvent]:
    """The events of a room, one at a time; a line that is torn or is none of ours is skipped.

    Of a file that is missing there are none. Raises CannotStart where it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            while line := file.readline(LONGEST):
                if line.endswith(b"\n") and (event := parse(line)) is not None:
                    yield event
        except OSError as error:
            raise _unreadable(path, error) from error


def parse(line: bytes) -> RoomEvent | None:
    """One line; None where it is torn.

    >>> parse(b'{"at": "2026-12-01T02:00:00+00:00", "host": "spark-01", "kind": "seen", "done": 5}').done
    5
    >>> parse(b'{"at": "2026-12-01T02:00:00+00:00", "ho') is None
    True
    """
    try:
        return RoomEvent.model_validate_json(line)
    except ValidationError:
        return None


def _unreadable(path: Path, error: OSError) -> CannotStart:
    return CannotStart(f"{path} cannot be read: {error.strerror}.", "Begin another room: dgxcert room run --new")
