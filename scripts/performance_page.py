"""The page docs/performance.md: tables of measurements between marks, each with machine, date and commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"


def show(name: str, rows: list[tuple[str, str, str]], about: str, *, keep: bool) -> None:
    """Print the table of a benchmark; with `keep`, also write it between its marks on the page."""
    text = table(rows, about)
    print(text)
    if keep:
        page = PAGE.read_text(encoding="utf-8")
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def table(rows: list[tuple[str, str, str]], about: str) -> str:
    """The rows (what, measured, wanted) under a line that states where and when they were measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    where = f"{os.cpu_count()} cores, {processor()}, Python {platform.python_version()}, {about}"
    head = f"Measured {datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.decode().strip()}, on {where}."
    lines = ["| what | measured | wanted |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([head, "", *lines])


def processor() -> str:
    """The model of this machine's processors."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
