"""COURSE-PACKAGES passes where every package imports and fails by name where one does not."""

from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.probes.stack import first_cell
from dgxcert.probes.stack.first_cell import FirstCell

PACKAGES = check_file.load("course/test_first_cell").test_the_packages_of_the_course_import_together


def test_healthy_packages_pass(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder]) -> None:
    monkeypatch.setattr(first_cell, "read", lambda: FirstCell({}))
    passes(PACKAGES)


def test_the_comparison_fails_where_a_package_does_not_import(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder]
) -> None:
    monkeypatch.setattr(first_cell, "read", lambda: FirstCell({"peft": "ImportError: no"}))
    fails(PACKAGES, by="packages that do not import")
