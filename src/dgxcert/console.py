r"""Text for people: what is hidden or steers a terminal is shown as an escape, and brackets are no markup.

Whatever a driver, a package, a file name or somebody else's run folder says can be in a text. A control character must
not clear the terminal or write to its clipboard, and a bidirectional override must not turn a word around.
"""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

EMOJI = "\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
PLANES = "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 15))
HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 and C1: ESC, BEL, CSI; a newline is left
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f\u2060-\u206f\u3164\ufe00-\ufe0d"
    "\ufeff\uffa0"  # of no width, or fillers (Unicode's Default_Ignorable_Code_Point)
    "\u2028-\u202e"  # line and paragraph separators, bidirectional embeddings and overrides
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff"  # surrogates, private, no characters
    f"\U00013430-\U00013455\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff{PLANES}]"
    f"|(?<![#*0-9\xa9\xae\u203c\u2049\u2122\u2139{EMOJI}])[\ufe0e\ufe0f]"  # selects how an emoji looks; else hidden
    f"|\u200d(?![{EMOJI}])|(?<![{EMOJI}])(?<![{EMOJI}]\ufe0f)\u200d"  # joins two emoji to one; else hidden
)
"""A list of its own, since `str.isprintable` differs between versions of Python, and reports must not."""


def printable(text: str) -> str:
    r"""Text with characters that are hidden, or that steer a terminal, shown as escapes; a newline is left.

    >>> printable("GB10\x1b[2J")
    'GB10\\x1b[2J'
    >>> printable("\u202e漢字 82 °C")
    '\\u202e漢字 82 °C'
    """
    if _has_nothing_hidden(text.replace("\n", "")):
        return text  # without a list of its lines, of which a report may have a million
    return "\n".join(line if _has_nothing_hidden(line) else HIDDEN.sub(_escaped, line) for line in text.split("\n"))


def _has_nothing_hidden(line: str) -> bool:
    """Whether HIDDEN need not look: it takes 60 times as long, and most lines of a report are plain ASCII."""
    return line.isascii() and line.isprintable()


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def on_one_line(text: str) -> str:
    r"""Printable text with newlines shown as escapes too: a name or an error cannot begin a line of its own.

    >>> on_one_line("spark-07\nCERTIFIED")
    'spark-07\\nCERTIFIED'
    """
    return printable(text).replace("\n", "\\n")


def clipped(text: str, longest: int) -> str:
    """Printable text on one line, of at most `longest` characters.

    >>> clipped("spark-07", 6)
    'spark…'
    """
    line = on_one_line(text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "run"), counted(12, "run")
    ('1 run', '12 runs')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def plain(text: str, style: str = "") -> Text:
    r"""Printable text for rich, as it is: "[bold]" is shown and is no markup.

    >>> plain("[bold]\x07").plain
    '[bold]\\x07'
    """
    return Text(printable(text), style=style)


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: a path that is longer than the terminal stays on one line.

    >>> print_line(Console(), "DECODE-SPEED[int4] is 9.8 token/s")
    DECODE-SPEED[int4] is 9.8 token/s
    """
    console.print(plain(text, style), soft_wrap=True)


class PlainConsole(Console):
    """A console that prints strings as they are, and shows what is hidden in them whatever they are printed by."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text, escaped before its width is measured."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed. rich's own control codes stay, since they are no text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
