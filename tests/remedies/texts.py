"""Every text of the project that tells a person what to type: remedies, advice, errors, and the code in pages."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paths import ROOT

import dgxcert
from dgxcert.machine.trait import Trait
from dgxcert.outcome import DgxcertError
from dgxcert.plan import suite

FOLDERS = ("src", "checks", "benchmarks", "container")
PAGES = ("README.md", "CONTRIBUTING.md", "docs")
NOT_OURS = ("faults.md", "requirements.md", "file-map.md")
"""Pages that quote others' remedies, or that are made from what is read elsewhere here."""


@dataclass(frozen=True)
class Text:
    """A text and where it is; `advises` says that it is a remedy by construction."""

    place: str
    text: str
    advises: bool = False


@cache
def advisers() -> frozenset[str]:
    """The names by whose calls a remedy is made: every error of dgxcert, and what hands remedies on."""
    for module in pkgutil.walk_packages(dgxcert.__path__, "dgxcert."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting, names = [DgxcertError], {"advise", "only", "Cause", "EngineProblem", "requirement"}
    while waiting:
        error = waiting.pop()
        names.add(error.__name__)
        waiting += error.__subclasses__()
    return frozenset(names)


def of_requirements() -> Iterator[Text]:
    """Each step of each requirement, as the suite declares it."""
    for entry in suite.collect(suite.root(), gpus=1):
        for step in entry.remedy:
            yield Text(entry.id, step, advises=True)


def of_sources(root: Path = ROOT, folders: tuple[str, ...] = FOLDERS) -> Iterator[Text]:
    """Every string in the code that is no docstring; a part that is computed is shown as its expression in braces."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield from of_module(path.read_text(encoding="utf-8"), str(path.relative_to(root)))


def of_module(source: str, place: str) -> Iterator[Text]:
    """The strings of one file. Strings within a call of an adviser, or in what is called a remedy, advise.

    >>> [text.text for text in of_module('raise CannotStart(f"No {x}.", "Build it: make image")', "a.py")]
    ['No {x}.', 'Build it: make image']
    """
    tree = ast.parse(source)
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    advising: set[int] = set()
    for node in ast.walk(tree):
        if _advises(node):
            advising |= {id(inner) for inner in ast.walk(node)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    inside |= {id(argument) for node in ast.walk(tree) if _condition(node) for argument in node.args}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if id(node) not in docstrings | inside and (text := _text(node)):
            yield Text(f"{place}:{node.lineno}", text, id(node) in advising)  # type: ignore[attr-defined]


def _advises(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called in advisers() and called != "requirement"
    if isinstance(node, ast.keyword):
        return node.arg == "remedy"
    if isinstance(node, ast.FunctionDef):
        return any(word in node.name for word in ("remedy", "advice", "restore"))
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any("REMED" in target.id for target in targets if isinstance(target, ast.Name))
    return False


def _condition(node: ast.AST) -> str:
    """`On DGX OS` for a call of `Trait.DGX_OS.only`; empty for anything else."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id="Trait"), attr=name), attr="only")):
            return str(Trait[name])
    return ""


def _text(node: ast.AST) -> str:
    if condition := _condition(node):
        return f"{condition}: {_text(node.args[0])}"  # type: ignore[attr-defined]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
            for part in node.values
        )
        return "".join(parts)
    return ""


def _typed(line: str) -> str:
    """A line of a block as it is typed: without a prompt and without a comment."""
    return re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ")


def of_pages() -> Iterator[Text]:
    """Each line of a block of shell, and each piece of code in backticks, of the pages that people read."""
    pages = [ROOT / name for name in PAGES if name.endswith(".md")] + sorted((ROOT / "docs").glob("*.md"))
    for page in pages:
        if page.name in NOT_OURS:
            continue
        text = page.read_text(encoding="utf-8")
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if language in ("", "sh", "bash", "console"):
                yield from (Text(page.name, f"`{line}`") for line in map(_typed, block.splitlines()) if line)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        yield from (Text(page.name, f"`{code}`") for code in re.findall(r"`((?:make|dgxcert|hf) [^`\n]+)`", prose))
