"""Layout of plain text: headings, paragraphs and columns that a terminal wraps, and that stay whole in a pipe."""

import textwrap

from rich.console import Console

from dgxcert.console import on_one_line, print_line

INDENT = 2


def heading(title: str, console: Console) -> None:
    """Print a heading after an empty line."""
    print_line(console, "")
    print_line(console, title, "bold")


def paragraph(line: str, console: Console, hanging: int = 0) -> None:
    """Print one indented line; on a terminal wrapped at its width, `hanging` columns further in from the second on."""
    text = on_one_line(line)
    indent = INDENT + len(text) - len(text.lstrip())
    if console.is_terminal:
        width, more = max(console.width, 20), " " * (indent + hanging)
        wrapper = textwrap.TextWrapper(width, " " * indent, more, break_long_words=False, break_on_hyphens=False)
        text = wrapper.fill(text.strip())
    else:
        text = " " * INDENT + text
    print_line(console, text)


def columns(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines with aligned columns, which are as wide as they must be.

    >>> columns([["limit", "h200"], ["spread", "0.05"]])
    ['limit   h200', 'spread  0.05']
    """
    shown = [[on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
