"""The page docs/file-map.md, made from the first line of every file: a phrase per file."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = ("checks", "benchmarks", "src", "container", "scripts", "docs", "tests")
WHOLE = {
    "tests/suites": "small suites with faults in them, which the tests of the supervisor run",
    "tests/recorded": "tool output that the probes' tests read: captured, or put together from published readings",
    "src/dgxcert/workloads/models/data": "the prose that LoRA trains on, and its tokenizer",
}
"""Folders that are listed as one line."""

TITLES = {
    ".py": r'"""(.+?)(?:"""|\n)',
    ".yaml": r"# (.+)",
    ".in": r"# (.+)",
    ".md": r"# (.+)",
    ".json": r'"title": "(.+?)"',
}
"""Where each kind of file has its phrase; a schema's own title is its last."""


def phrase(path: Path) -> str:
    """The phrase in which a file describes itself; raises ValueError when there is none."""
    text = path.read_text(encoding="utf-8")
    pattern = TITLES.get(path.suffix, r"^# (.+)")
    found = re.findall(pattern, text, re.MULTILINE) if path.suffix == ".json" else [_first(pattern, text)]
    if not found or not found[-1]:
        raise ValueError(f"{path} has no phrase that describes it: begin it with one")
    return str(found[-1]).rstrip(".")


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else ""


def render() -> str:
    """The map as Markdown lists, a heading per folder."""
    lines = [f"- `{name}` {phrase(ROOT / name)}" for name in ("Makefile", ".ci/run")]
    heading = ""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*"), key=lambda each: (each.parent, each.name)):
            place = path.relative_to(ROOT)
            inside = next((name for name in WHOLE if place.as_posix().startswith(name + "/")), None)
            if not _shown(path) or (inside and f"- `{inside}/` {WHOLE[inside]}" in lines):
                continue
            if inside is None and place.parent.as_posix() != heading:
                heading = place.parent.as_posix()
                lines += ["", f"**{heading}/**", ""]
            lines.append(f"- `{inside}/` {WHOLE[inside]}" if inside else f"- `{place.name}` {phrase(path)}")
    return "\n".join(lines)


def _shown(path: Path) -> bool:
    """Files that a person reads; caches are not."""
    hidden = any(part.startswith((".", "__pycache__")) or part.endswith(".egg-info") for part in path.parts[1:])
    return path.is_file() and not hidden and path.suffix in {*TITLES, ".txt"}


def page() -> str:
    """docs/file-map.md as it should be."""
    return f"# File map\n\nWhat every file is for, in its own first line. Made by `make docs`.\n\n{render()}\n"
