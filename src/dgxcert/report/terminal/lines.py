"""Lines of the screen: a terminal gets them at its own width, a pipe whole, for grep.

No text of a run begins a line: what it says stands behind a word of ours, or is indented.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dgxcert.console import on_one_line

NARROW = 60
"""Columns below which no line is cut: its numbers would be lost, not only its reasons."""
LONGEST = 20_000
"""Characters of one line: what somebody else's run says may be megabytes."""


@dataclass(frozen=True)
class Line:
    """One line, before it is fitted to a terminal; what continues it begins with `indent` spaces."""

    text: str
    style: str = ""
    indent: int = 2
    cut: bool = False
    """Whether a terminal of usual width shows its beginning alone."""
    whole: bool = False
    """Whether the terminal itself wraps it: a command that is copied out of it stays one line."""


def fitted(lines: Iterable[Line], width: int | None) -> list[Line]:
    """The lines at the width of a terminal; whole where there is none.

    >>> [line.text for line in fitted([Line("GPU  NVIDIA H200, driver 580", indent=5)], 20)]
    ['GPU  NVIDIA H200,', '     driver 580']
    """
    return [part for line in lines for part in _parts(line, width)]


def _parts(line: Line, width: int | None) -> list[Line]:
    text = on_one_line(line.text if len(line.text) <= LONGEST else f"{line.text[:LONGEST]}…")
    if width is None or len(text) <= width or line.whole:
        return [Line(text, line.style)]
    if line.cut and width >= NARROW:
        return [Line(text[: width - 1] + "…", line.style)]
    indent = " " * (len(text) - len(text.lstrip()))
    wrapped = textwrap.wrap(
        text.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=" " * min(line.indent, width // 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Line(part, line.style) for part in wrapped]


def within(lines: Iterable[Line], most: int, width: int | None, more: str) -> list[Line]:
    """The lines in at most `most` of a terminal: whole, else each cut to one, else the first, and `more` of how many.

    >>> [line.text for line in within([Line(text) for text in "abcd"], 3, 80, "{} more in the report")]
    ['a', 'b', '2 more in the report']
    """
    every = list(lines)
    shown = fitted(every, width)
    if len(shown) > most:
        shown = fitted((replace(line, cut=True) for line in every), width)
    if len(shown) <= most:
        return shown
    return [*shown[: most - 1], Line(more.format(len(shown) - most + 1), "dim")]
