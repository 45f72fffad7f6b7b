"""A folder of measurements: what was measured so far, part by part, and the page that tells it.

`figures.json` is written after each part, so that a command that is ended loses one part at most, and the next one goes
on after it.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import performance_page

ROOT = Path(__file__).resolve().parents[1]
Row = tuple[str, str, str]
"""What, measured, wanted."""


@dataclass(frozen=True)
class Folder:
    """What is kept of one machine's measurements."""

    path: Path
    profile: str

    @property
    def figures(self) -> dict[str, Any]:
        """What each part has found, by its name; raises ValueError where they are of another profile or commit."""
        kept = self._kept()
        for name, mine in self._about().items():
            if name in ("profile", "commit") and kept and kept["about"][name] != mine:
                raise ValueError(
                    f"{self.path} holds measurements of {name} {kept['about'][name]}, and this is {mine}: "
                    "name another folder with --out"
                )
        found: dict[str, Any] = kept.get("parts", {})
        return found

    @property
    def about(self) -> str:
        """Where and when it was measured, in one line."""
        about = self._kept().get("about", {}) or self._about()
        return (
            f"Measured {about['date']}, commit {about['commit']}, profile {about['profile']}, on {about['machine']}, "
            f"Python {about['python']}, torch {about['torch']}."
        )

    def keep(self, part: str, found: Any) -> None:
        """Write what a part has found; a file that is half written never takes the place of a whole one."""
        parts = {**self.figures, part: found}
        kept = {"about": self._kept().get("about") or self._about(), "parts": parts}
        self.path.mkdir(parents=True, exist_ok=True)
        beside = self.path / "figures.json.part"
        beside.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(self.path / "figures.json")

    def _kept(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads((self.path / "figures.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return kept

    def _about(self) -> dict[str, str]:
        import torch

        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
        gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else performance_page.processor()
        return {
            "profile": self.profile,
            "commit": commit.stdout.strip() or "unknown",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": f"{gpu} and {os.cpu_count()} cores",
            "python": platform.python_version(),
            "torch": torch.__version__,
        }


def default(profile: str) -> Path:
    """The folder of today's measurements by a profile."""
    return ROOT / "docs" / "measurements" / f"{datetime.now(UTC):%Y-%m-%d}-{profile}"


def page(folder: Folder, tables: dict[str, list[Row]], texts: dict[str, str]) -> str:
    """The page: a table for each step that has figures, and the tables that other programs have printed."""
    return "\n".join(_lines(folder, tables, texts)) + "\n"


def _lines(folder: Folder, tables: dict[str, list[Row]], texts: dict[str, str]) -> Iterator[str]:
    yield f"# Measurements by profile {folder.profile}"
    yield from (
        "",
        folder.about,
        "",
        "Made by `scripts/measure_gpu.py`; `figures.json` holds what the tables are made of.",
    )
    for step, rows in tables.items():
        if rows:
            yield from ("", f"## {step}", "", "| what | measured | wanted |", "| --- | --- | --- |")
            yield from (f"| {' | '.join(row)} |" for row in rows)
    for step, text in texts.items():
        yield from ("", f"## {step}", "", text.strip())


def warn(text: str) -> None:
    """Say something about the measurements, beside the figures."""
    print(text, file=sys.stderr, flush=True)
