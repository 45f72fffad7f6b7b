"""The page docs/sensitivity.md: the smallest planted fault that each requirement catches, from the tests that plant it.

A test names what it plants: `@pytest.mark.catches("MATMUL-SPEED", "one element of 8192 x 8192 in bf16 set to 0")`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MADE = "<!-- Made by `make docs` from the marks on the tests; change those, not this file. -->"
MARK = "pytest.mark.catches"

INTRODUCTION = """\
Which wrong result does a passing requirement still allow? Each row names the smallest fault that the requirement is
known to catch, because a test plants it and expects the requirement to fail. *Not seen* is what lies below that. Sizes
are those of the profiles that certify, unless the row names another.
"""


@dataclass(frozen=True)
class Planted:
    """One mark on a test."""

    requirement: str
    fault: str
    """What is planted, with its size: "one element of 8192 x 8192 in bf16 set to 0"."""
    unseen: str
    """What is too small to be seen, and why; empty where nothing is known."""
    test: str
    """File and function, as pytest takes them."""


def planted() -> list[Planted]:
    """Every mark on a test, in the order of files and lines; raises ValueError for one that is not all literals."""
    folder = ROOT / "tests"
    return [fault for path in sorted(folder.rglob("test_*.py")) for fault in _in_file(path)]


def _in_file(path: Path) -> Iterator[Planted]:
    source = path.read_text(encoding="utf-8")
    if MARK not in source:
        return
    place = path.relative_to(ROOT).as_posix()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == MARK:
                    yield _read(mark, f"{place}::{function.name}")


def _read(mark: ast.Call, test: str) -> Planted:
    try:
        requirement, fault = (ast.literal_eval(argument) for argument in mark.args)
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in mark.keywords}
    except ValueError as error:
        raise ValueError(f"{test}: `{MARK}` takes a requirement, a fault and `unseen=`, all literals") from error
    return Planted(requirement, " ".join(fault.split()), " ".join(named.get("unseen", "").split()), test)


def page() -> str:
    """The page: a row for each planted fault, by requirement."""
    lines = ["# Sensitivity", "", MADE, "", INTRODUCTION]
    lines += ["| requirement | smallest planted fault that it catches | not seen | test |", "| --- | --- | --- | --- |"]
    for fault in sorted(planted(), key=lambda fault: fault.requirement):
        file, function = fault.test.split("::")
        anchor = re.sub(r"\[.*", "", fault.requirement).lower()
        lines.append(
            f"| [{fault.requirement}](requirements.md#{anchor}) | {fault.fault} | {fault.unseen} | "
            f"[{function}](../{file}) |"
        )
    return "\n".join(lines) + "\n"
