"""Plain lines on a console: text as it is, without markup, highlighting or line breaks of rich's own."""

from rich.console import Console
from rich.text import Text


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: brackets are no markup, and a path that is longer than the terminal stays on one line.

    >>> print_line(Console(), "DECODE-SPEED[int4] is 9.8 token/s")
    DECODE-SPEED[int4] is 9.8 token/s
    """
    console.print(Text(text, style=style), soft_wrap=True)
