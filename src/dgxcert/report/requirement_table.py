"""The list of requirements on the terminal: group, name, tier and what must be true."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from dgxcert.console import plain
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu


def show(entries: Iterable[Entry], console: Console) -> None:
    """Print one row for each requirement."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("group", "requirement", "tier", "what must be true"):
        table.add_column(heading, no_wrap=heading != "what must be true")
    for entry in entries:
        table.add_row(*map(plain, (entry.group, any_gpu(entry.key), entry.tier.value, entry.title)))
    console.print(table)
