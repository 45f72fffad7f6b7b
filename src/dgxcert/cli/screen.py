"""The screen: a terminal that is lost, or a pipe that nobody reads, takes neither a run nor its verdict along."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import IO, TextIO, cast

from rich.console import Console


class Screen:
    """Standard output or error until it takes no more; then what is printed is dropped, and all else goes on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Print, or drop."""
        try:
            self._file.write(text)
        except OSError:
            self._drop_from_now_on()
        return len(text)

    def flush(self) -> None:
        """Print what waits, or drop it."""
        try:
            self._file.flush()
        except OSError:
            self._drop_from_now_on()

    def _drop_from_now_on(self) -> None:
        """Lead the stream to nowhere: Python flushes it once more at the end, and would change our exit code."""
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            os.close(nowhere)


def console(file: TextIO | None = None) -> Console:
    """The console that every command prints on: standard output, where no other is given."""
    return Console(file=cast("IO[str]", Screen(file or sys.stdout)))


def say(text: str) -> None:
    """Print a line as it is, on the console of every command."""
    console().print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """While a verdict that stands is shown: another Ctrl-C would put an exit code in its place that says otherwise."""
    heeding = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heeding)
