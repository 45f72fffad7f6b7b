"""The suite on disk: its files have unique names, and its hashes cover all that affects a result."""

from collections import Counter
from pathlib import Path

import pytest
from paths import BENCHMARKS, CHECKS
from suites.clone import clone

from dgxcert.plan import suite
from dgxcert.plan.suite import Suite


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone from which dgxcert is imported."""
    made = clone(tmp_path / "clone")
    monkeypatch.setattr(suite, "PACKAGE", made / "src" / "dgxcert")
    return made


def test_a_clone_is_not_modified(here: Path) -> None:
    (here / "notes.txt").write_text("not part of the suite", encoding="utf-8")
    identity = suite.identity(here)
    assert identity.commit is not None
    assert (identity.modified, identity.reason) == (False, "")


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("src/dgxcert/module.py", True),
        ("checks/test_one.py", True),
        ("benchmarks/test_two.py", True),
        ("container/Dockerfile", False),
        ("container/stacks/course.lock", False),
        ("compose.yaml", False),
        ("pyproject.toml", False),
        (".env", False),
    ],
)
def test_what_affects_a_result_is_in_the_hash_and_a_modification(here: Path, name: str, inside: bool) -> None:
    before = suite.identity(here)
    (here / name).write_text("changed", encoding="utf-8")
    after = suite.identity(here)
    assert after.modified is True
    assert name in after.reason
    assert after.sha256 != before.sha256
    assert (after.package_sha256 != before.package_sha256) is inside


def test_an_installed_package_has_the_hash_of_the_clone_that_it_was_made_from(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_clone = suite.identity(here)
    installed = tmp_path / "site-packages" / "dgxcert"
    installed.parent.mkdir()
    (here / "src" / "dgxcert").rename(installed)
    (installed / "suite").mkdir()
    for name in ("checks", "benchmarks", "compose.yaml"):
        (here / name).rename(installed / "suite" / name)
    monkeypatch.setattr(suite, "PACKAGE", installed)
    inside = suite.identity(installed / "suite")
    assert isinstance(inside, Suite)
    assert inside.package_sha256 == of_clone.package_sha256
    assert (inside.commit, inside.modified) == (None, None)


def test_files_of_the_suite_have_unique_names() -> None:
    """pytest's default import mode, with which a suite is run, imports a file without a package by its base name."""
    names = Counter(path.name for folder in (CHECKS, BENCHMARKS) for path in folder.rglob("test_*.py"))
    assert len(names) > 30
    assert [name for name, count in names.items() if count > 1] == []
