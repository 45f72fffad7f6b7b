"""Checks of the stack and the Hub pass where all is well, and each of their comparisons fails alone."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dgxcert.evidence import Recorder
from dgxcert.probes import hub, package
from dgxcert.probes.hub import MODEL, Hub
from dgxcert.probes.package import Package
from dgxcert.software import STACK

CHECKS = Path(__file__).parents[1] / "checks"


def check(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), CHECKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


IMPORTS, REACH = check("stack/test_imports"), check("hub/test_reach")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def test_a_package_that_imports_passes(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    monkeypatch.setattr(package, "read", lambda name: Package(name, "1.0", "/site-packages", ""))
    IMPORTS.test_the_package_imports("peft", evidence)
    assert evidence.compared
    assert not evidence.violated


def test_a_package_that_does_not_import_fails_and_says_why(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    monkeypatch.setattr(package, "read", lambda name: Package(name, "1.0", "", "ImportError: no libcuda"))
    with pytest.raises(AssertionError):
        IMPORTS.test_the_package_imports("peft", evidence)
    assert [(kept.name, kept.source) for kept, _ in evidence.violated] == [
        ("peft imports", "import peft: ImportError: no libcuda")
    ]


def test_every_package_of_the_stack_is_imported() -> None:
    marks = IMPORTS.test_the_package_imports.pytestmark
    assert [mark.args for mark in marks if mark.name == "parametrize"] == [("name", STACK)]


@pytest.mark.parametrize(
    ("status", "model", "fault"),
    [
        (200, MODEL, None),
        (503, MODEL, "HTTP status"),
        (200, "somebody/else", "model named in the answer"),
    ],
)
def test_only_the_hubs_own_answer_passes(
    monkeypatch: pytest.MonkeyPatch, evidence: Recorder, status: int, model: str, fault: str | None
) -> None:
    monkeypatch.setattr(hub, "read", lambda: Hub("https://huggingface.co", status, model))
    if fault is None:
        REACH.test_the_hub_answers(evidence)
        assert evidence.compared
        assert not evidence.violated
        return
    with pytest.raises(AssertionError):
        REACH.test_the_hub_answers(evidence)
    assert [kept.name for kept, _ in evidence.violated] == [fault]
