"""The list of requirements: one line for each in a pipe, by group and with its cases below it on a terminal."""

from collections.abc import Iterable

from rich.console import Console

from dgxcert.console import print_line
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu
from dgxcert.report import layout

HEADINGS = ["group", "requirement", "tier", "what must be true"]


def show(entries: Iterable[Entry], console: Console) -> None:
    """Print every requirement, all of it: neither cut nor, in a pipe, wrapped."""
    if console.is_terminal:
        _show_groups(list(entries), console)
        return
    rows = [[entry.group, any_gpu(entry.key), entry.tier.value, entry.title] for entry in entries]
    for line in layout.columns([HEADINGS, *rows]):
        print_line(console, line)


def _show_groups(entries: list[Entry], console: Console) -> None:
    """Each group under a heading; each id once, with the cases that it is measured in, as they are typed after it."""
    cases: dict[str, list[str]] = {}
    for entry in entries:
        cases.setdefault(entry.id, []).append(any_gpu(entry.key).removeprefix(entry.id))
    first = {entry.id: entry for entry in reversed(entries)}
    width, tier = max(map(len, first), default=0), max((len(entry.tier.value) for entry in entries), default=0)
    for group in dict.fromkeys(entry.group for entry in entries):
        members = [first[each] for each in cases if first[each].group == group]
        layout.heading(f"{group} ({len(members)})", console)
        for entry in members:
            line = f"{entry.id:{width}}  {entry.tier.value:{tier}}  {entry.title}"
            layout.paragraph(line, console, hanging=width + tier + 4)
            if named := [case for case in cases[entry.id] if case]:
                layout.paragraph(f"  {' '.join(named)}", console)
