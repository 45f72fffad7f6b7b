"""The suite on disk: its files have unique names; its identity is its commit, and whether it was modified."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from paths import BENCHMARKS, CHECKS

from dgxcert import command
from dgxcert.plan import suite


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "module.py").write_text("", encoding="utf-8")
    for args in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *args], check=True)
    return tmp_path


def test_a_clone_is_not_modified(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("not part of the suite", encoding="utf-8")
    identity = suite.identity(checkout)
    assert identity.commit is not None
    assert identity.modified is False


@pytest.mark.parametrize("name", ["src/module.py", "checks/test_more.py", "pyproject.toml"])
def test_a_changed_check_source_file_or_configuration_is_a_modification(checkout: Path, name: str) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed", encoding="utf-8")
    assert suite.identity(checkout).modified is True


def test_outside_a_checkout_commit_and_modification_are_unknown(tmp_path: Path) -> None:
    identity = suite.identity(tmp_path)
    assert (identity.commit, identity.modified) == (None, None)


def test_where_git_fails_commit_and_modification_are_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git" / "index").write_bytes(b"torn")
    assert suite.identity(checkout).modified is None
    monkeypatch.setattr(command, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("git")))
    assert suite.identity(checkout).commit is None


def test_files_of_the_suite_have_unique_names() -> None:
    """pytest's default import mode, with which a suite is run, imports a file without a package by its base name."""
    names = Counter(path.name for folder in (CHECKS, BENCHMARKS) for path in folder.rglob("test_*.py"))
    assert len(names) > 30
    assert [name for name, count in names.items() if count > 1] == []
