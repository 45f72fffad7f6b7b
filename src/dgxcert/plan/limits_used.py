"""Limits used: which limits of a profile a requirement is compared with, read from the source of its test.

Nothing declares them a second time: the test's own `profile.limit("…")` says it, and so do the functions and classes of
the workloads and probes that it names. `tests/plan/test_limits_used.py` holds this against what kept runs compared.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.units import QUANTITIES
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu

PACKAGES = ("dgxcert.workloads.", "dgxcert.probes.")
"""Where a test's own work goes on; below them no limit is named."""
GPUS = "gpu.count"
"""The number of GPUs is a limit that a profile states by itself, in `gpu`."""
KNOWN = (GPUS, *QUANTITIES)
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass
class Source:
    """What a file defines and imports."""

    defined: dict[str, ast.AST] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    """Dotted names of imported modules, by the names that they have here."""
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Module and name of what else is imported."""


def of(entry: Entry, suite: Path) -> tuple[str, ...]:
    """The names of the limits that an entry of the catalogue is compared with, in the order of the profiles.

    `suite` is the folder of `checks` and `benchmarks`.
    """
    path, _, test = any_gpu(entry.nodeid).partition("::")
    variant = any_gpu(entry.key).partition("[")[2].rstrip("]")
    patterns = _patterns(suite / path, test.partition("[")[0])
    found = {name for pattern in patterns for name in _matching(pattern, variant)}
    return tuple(name for name in KNOWN if name in found)


def _matching(pattern: str, variant: str) -> list[str]:
    """The limits that a pattern names for one set of parameters; all of them where none has its words.

    >>> _matching(r"matmul\\.(.+)", "bf16"), _matching("spread", "bf16")
    (['matmul.bf16'], ['spread'])
    """
    if pattern == SPREAD:
        words = variant.split("-")
        return [Case(*words).spread] if len(words) == len(Case.__dataclass_fields__) else ["spread", "spread.host"]
    found = {name: match for name in KNOWN if (match := re.fullmatch(pattern, name))}
    exact = [name for name, match in found.items() if match.groups() == (variant.replace("-", "."),)]
    partly = [name for name, match in found.items() if match.groups() and match.group(1) in variant.split("-")]
    return exact or partly or list(found)


@cache
def _patterns(path: Path, function: str) -> frozenset[str]:
    """Expressions for the names of all limits that a function of a file can reach."""
    reached: set[tuple[Path, str]] = set()
    waiting = [(path, function)]
    patterns: set[str] = set()
    while waiting:
        here = waiting.pop()
        if here in reached:
            continue
        reached.add(here)
        source = _source(here[0])
        node = source.defined.get(here[1])
        if node is not None:
            patterns.update(_named(node))
            waiting.extend(_used(node, source, here[0]))
    return frozenset(patterns)


SPREAD = "(spread of a case)"
"""What stands for `case.spread`, which depends on the case."""


def _named(node: ast.AST) -> Iterator[str]:
    """Expressions for the limits that a node names: `profile.limit(f"matmul.{precision}")`, `profile.gpu_count`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "limit":
            yield from filter(None, map(_expression, each.args))
        elif isinstance(each, ast.Attribute) and each.attr in ("gpu_count", "device_count"):
            yield re.escape(GPUS)


def _expression(argument: ast.expr) -> str:
    """A regular expression for the name that an argument gives; "" where it gives none."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return re.escape(argument.value)
    if isinstance(argument, ast.JoinedStr):
        parts = (_expression(part) if isinstance(part, ast.Constant) else "(.+)" for part in argument.values)
        return "".join(parts)
    if isinstance(argument, ast.Call) and argument.args:  # case.limit("decode")
        return f"{_expression(argument.args[0])}\\.(.+)"
    return SPREAD if isinstance(argument, ast.Attribute) and argument.attr == "spread" else ""


def _used(node: ast.AST, source: Source, path: Path) -> Iterator[tuple[Path, str]]:
    """The definitions that a node names, each with its file."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in source.modules:
            yield _file(source.modules[each.value.id]), each.attr
        elif isinstance(each, ast.Name) and each.id in source.names:
            module, name = source.names[each.id]
            yield _file(module), name
        elif isinstance(each, ast.Name) and each.id in source.defined:
            yield path, each.id


@cache
def _source(path: Path) -> Source:
    source = Source()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            source.defined[node.name] = node
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(PACKAGES):
            for alias in node.names:
                module, here = f"{node.module}.{alias.name}", alias.asname or alias.name
                if _file(module).is_file():
                    source.modules[here] = module
                else:
                    source.names[here] = (node.module or "", alias.name)
    return source


def _file(module: str) -> Path:
    """The file of a module of this package."""
    return (PACKAGE.parent / module.replace(".", "/")).with_suffix(".py")
