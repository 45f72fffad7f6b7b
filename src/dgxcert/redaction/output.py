"""Standard output and error of a process without secrets: warnings, tracebacks and messages pass through here."""

import sys
from typing import TextIO

from dgxcert.redaction import scrubber


class Scrubbed:
    """A text stream that redacts whole lines, and what there is of a line when it is flushed, as a prompt is.

    >>> import io
    >>> shown = io.StringIO()
    >>> print("HF_TOKEN=x7Qm", "2kLp", sep="", file=Scrubbed(shown))
    >>> shown.getvalue()
    'HF_TOKEN=[secret]\\n'
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._pending = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Write the lines that are whole; the rest waits for its end."""
        lines, end, rest = (self._pending + text).rpartition("\n")
        self._pending = rest
        if end:
            self._file.write(scrubber.text(lines) + end)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what waits, too."""
        if self._pending:
            pending, self._pending = self._pending, ""
            self._file.write(scrubber.text(pending))
        self._file.flush()

    @property
    def unscrubbed(self) -> TextIO:
        """The stream itself, for what is redacted already: JSON that is redacted as text need not stay JSON."""
        self.flush()
        return self._file


def install() -> None:
    """Redact all that this process prints from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Scrubbed):
            setattr(sys, name, Scrubbed(stream))
