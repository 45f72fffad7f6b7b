"""The screen: a closed terminal or a broken pipe ends neither the run nor its verdict."""

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, TextIO, cast

from rich.console import Console

from dgxcert.console import PlainConsole, print_line
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.report.terminal import Detail


class Screen:
    """Standard output or error until a write fails; from then on output is dropped, and the command continues."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write, or drop."""
        try:
            self._file.write(text)
        except UnicodeEncodeError:  # a terminal in Latin-1 has no 漢; a verdict is printed on it all the same
            encoding = self._file.encoding or "ascii"
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError:  # EPIPE, ENOSPC, EIO: all mean that the output has no reader any more
            self._redirect_to_null()
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is buffered."""
        try:
            self._file.flush()
        except OSError:
            self._redirect_to_null()

    def _redirect_to_null(self) -> None:
        # Python flushes standard output once more at exit. If that fails, it exits with 120 in place of our code.
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._file.fileno())
            os.close(null)


def console(file: TextIO | None = None) -> Console:
    """The console that commands print on: standard output, unless another file is given."""
    return PlainConsole(file=cast("IO[str]", Screen(file or sys.stdout)), markup=False, emoji=False, highlight=False)


def say_redacted(text: str) -> None:
    """Print a text from which secrets were removed by whoever made it, byte for byte."""
    file = Screen(cast("TextIO", getattr(sys.stdout, "unscrubbed", sys.stdout)))
    file.write(f"{text}\n")
    file.flush()


def say(text: str) -> None:
    """Print text as it is on standard output.

    >>> say("kept in results/[2026]")
    kept in results/[2026]
    """
    print_line(console(), text)


def detail(*, verbose: bool, quiet: bool) -> "Detail":
    """How much of a run is shown. Raises CannotStart where both more and less is asked for."""
    from dgxcert.report.terminal import Detail

    if verbose and quiet:
        raise CannotStart("-v shows more and -q shows less.", "Give one of them.")
    return Detail.EVERYTHING if verbose else Detail.VERDICT if quiet else Detail.USUAL
