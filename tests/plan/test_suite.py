"""The suite's identity: its commit, whether it was modified, and nothing that git did not report."""

import subprocess
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.plan import suite


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "module.py").write_text("", encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    return tmp_path


def test_a_clone_is_as_it_was_committed(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("decides nothing", encoding="utf-8")
    found = suite.identity(checkout)
    assert found.commit is not None
    assert found.modified is False


@pytest.mark.parametrize("name", ["src/module.py", "checks/test_more.py", "pyproject.toml"])
def test_a_change_of_what_decides_a_run_is_seen(checkout: Path, name: str) -> None:
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed", encoding="utf-8")
    assert suite.identity(checkout).modified is True


def test_where_there_is_no_checkout_nothing_is_claimed(tmp_path: Path) -> None:
    found = suite.identity(tmp_path)
    assert (found.commit, found.modified) == (None, None)


def test_where_git_cannot_look_nothing_is_claimed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git" / "index").write_bytes(b"torn")
    assert suite.identity(checkout).modified is None
    monkeypatch.setattr(command, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("git")))
    assert suite.identity(checkout).commit is None
