"""Code and documents use plain English and the glossary of docs/architecture.md, not expressions of their own."""

import re
from pathlib import Path

import pytest
from paths import ROOT

FOLDERS = ("src", "checks", "benchmarks", "container", "scripts", "tests", "docs", ".github", ".ci")
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".j2", ".css", ".mjs", ".c", ".in", ".env", ""}
GENERATED = {"docs/file-map.md", "docs/faults.md"}
SPECIAL = {"tests/test_words.py"}

NOT_PLAIN = {
    r"\bheld against\b|\bholds? (it|them) against\b": "compared with",
    r"\bcould not look\b|\bcould be looked at\b": "could not be checked",
    r"\bleft out by\b": "deselected by",
    r"\bended from outside\b": "timed out, killed",
    r"\banew\b": "again, rebuild, regenerate",
    r"(?<!hugging )(?<!font-)\bfaces?\b": "report, reports",
    r"\banswers? for although\b|\bsomebody answers for\b": "waiver",
    r"\bgone on with\b": "continued, resumed",
    r"\btakes? (its caller|whoever asks) along\b": "crashes the calling process",
    r"\bdoes not tell\b": "does not report",
    r"\bcomes? it back\b": "if it comes back",
}
"""Expressions that are not plain English, and what to write instead."""


def texts() -> list[Path]:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    names = {path: path.relative_to(ROOT).as_posix() for path in [*paths, *ROOT.glob("*.md"), ROOT / "Makefile"]}
    skipped = GENERATED | SPECIAL
    return [
        path for path, name in names.items() if path.is_file() and name not in skipped and "__pycache__" not in name
    ]


@pytest.mark.parametrize("expression", NOT_PLAIN)
def test_what_is_written_is_plain_english(expression: str) -> None:
    pattern = re.compile(expression, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"write {NOT_PLAIN[expression]!r}:\n" + "\n".join(found[:20])
