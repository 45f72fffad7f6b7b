"""Imports: a package that does not import fails with its error, and every package of the stack is imported."""

from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.software import STACK
from dgxcert.probes.stack import package_import
from dgxcert.probes.stack.package_import import Package

CHECK = check_file.load("stack/test_imports").test_package_imports


@pytest.mark.parametrize(("problem", "fault"), [("", None), ("ImportError: no libcuda", "peft imports")])
def test_package_must_import(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], problem: str, fault: str | None
) -> None:
    monkeypatch.setattr(package_import, "read", lambda name: Package(name, "1.0", "/site", problem))
    evidence = judge(CHECK, fault, "peft")
    assert problem in evidence.kept[0].source


def test_every_package_of_the_stack_is_imported() -> None:
    assert [mark.args for mark in CHECK.pytestmark if mark.name == "parametrize"] == [("name", STACK)]
