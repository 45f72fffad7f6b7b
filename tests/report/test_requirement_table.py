"""The list of requirements has one row each, and no part of a key is read as markup."""

import io

from rich.console import Console
from suites.example import planned

from dgxcert.report import requirement_table


def test_a_row_has_group_key_tier_and_title() -> None:
    printed = io.StringIO()
    entries = [planned("DECODE-SPEED[int4]"), planned("GPU-PRESENT[gpu0]")]
    requirement_table.show(entries, Console(file=printed, width=120))
    rows = [line.split(maxsplit=3) for line in printed.getvalue().splitlines()[1:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["gpu", "DECODE-SPEED[int4]", "quick", "title of DECODE-SPEED"],
        ["gpu", "GPU-PRESENT", "quick", "title of GPU-PRESENT"],
    ]
