"""Doctests: the examples in docstrings do what they show."""

import ast
import doctest
import importlib

import pytest
from paths import ROOT

from dgxcert.judgement.evidence import Quantity, Recorder

SOURCE = ROOT / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_do_what_they_show(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert done.attempted
    assert not done.failed


def public_parsers() -> list[str]:
    """Every function called `parse` in the package, as `module.parse`."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
    modules = {path: ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in trees}
    functions = ((path, node) for path, tree in trees.items() for node in tree.body)
    return [
        f"{modules[path]}.parse"
        for path, node in functions
        if isinstance(node, ast.FunctionDef) and node.name == "parse"
    ]


@pytest.mark.parametrize("name", public_parsers())
def test_every_parser_has_an_example(name: str) -> None:
    module, function = name.rsplit(".", 1)
    assert ">>> " in (getattr(importlib.import_module(module), function).__doc__ or ""), name


@pytest.mark.parametrize("owner", [Recorder, Quantity])
def test_every_method_that_a_check_calls_has_an_example(owner: type) -> None:
    methods = {name: each for name, each in vars(owner).items() if callable(each) and not name.startswith("_")}
    assert methods
    assert not [name for name, each in methods.items() if ">>> " not in (each.__doc__ or "")]
