"""What `make help` prints: every target of the Makefile with its line, wrapped for a terminal and whole for a pipe.

`python3 scripts/make_help.py Makefile`. Needs the standard library alone: it is asked before an environment is set up.
"""

import re
import shutil
import sys
import textwrap
from pathlib import Path

TARGET = re.compile(r"^([a-z0-9-]+):.*## (.*)$")
HEADING = re.compile(r"^##@ (.*)$")
"""A line before the first target of a part."""
COLUMNS = 18
"""Of the names, with two before and after; a longer name has a line of its own."""
LEAST = 40


def lines(makefile: str, width: int | None) -> list[str]:
    """The lines of the list; `width` is that of the terminal, None for a pipe.

    >>> lines("validate: ## validate this machine (PROFILE= TIER=)\\n", 42)
    ['  validate        validate this machine', '                  (PROFILE= TIER=)']
    """
    shown = []
    for line in makefile.splitlines():
        if heading := HEADING.match(line):
            shown += ["", f"{heading[1]}:"]
        elif target := TARGET.match(line):
            shown += _row(target[1], target[2], width)
    return shown


def _row(name: str, text: str, width: int | None) -> list[str]:
    """The lines of one target."""
    head = f"  {name}".ljust(COLUMNS - 2) + "  "
    if width is None:
        return [f"{head}{text}"]
    above = [head.rstrip()] if len(head) > COLUMNS else []
    first = " " * COLUMNS if above else head
    wrapped = textwrap.wrap(
        text,
        max(width, LEAST),
        initial_indent=first,
        subsequent_indent=" " * COLUMNS,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [*above, *wrapped]


def main() -> None:
    """Print the list."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(lines(Path(sys.argv[1]).read_text(encoding="utf-8"), width)))


if __name__ == "__main__":
    main()
