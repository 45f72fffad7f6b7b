"""The source is unmodified only where each file is what the commit has; what hides a change from git hides none."""

import os
import py_compile
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from suites.clone import clone, commit, git

from dgxcert.plan import source
from dgxcert.plan.source import Compared
from dgxcert.plan.suite import DECIDES

CHECK = "checks/test_one.py"
WEAKER = "def test_one(): pass  # gutted\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return clone(tmp_path / "clone")


def compare(here: Path) -> Compared:
    return source.compare(here, here / "src" / "dgxcert", DECIDES)


def weaken(here: Path) -> None:
    (here / CHECK).write_text(WEAKER, encoding="utf-8")


def test_a_clone_is_its_commit(here: Path) -> None:
    assert compare(here) == Compared(git(here, "rev-parse", "HEAD"), False, "")


@pytest.mark.parametrize(
    "extra",
    [
        *("src/dgxcert/__pycache__/module.cpython-311.pyc", "checks/__pycache__/test_one.pyc", "checks/.ruff_cache/x"),
        *("src/dgxcert.egg-info/PKG-INFO", "docs/draft.md", "conftest.py", "results/run.json"),
    ],
)
def test_caches_and_what_is_outside_the_suite_are_no_modification(here: Path, extra: str) -> None:
    (here / extra).parent.mkdir(parents=True, exist_ok=True)
    (here / extra).write_bytes(bytes(16))
    assert compare(here).modified is False


def test_another_owner_shallow_copies_and_worktrees_are_clones_too(here: Path, tmp_path: Path) -> None:
    (here / "docs" / "page.md").write_text("new", encoding="utf-8")
    commit(here, "a second one")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{here}", shallow], check=True)
    git(here, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert compare(shallow).modified is False
    assert compare(tmp_path / "tree").modified is False


def hidden_by_the_index(here: Path) -> None:
    git(here, "update-index", "--assume-unchanged", CHECK)
    weaken(here)


def skipped_by_the_index(here: Path) -> None:
    git(here, "update-index", "--skip-worktree", CHECK)
    weaken(here)


def hidden_by_time_and_size(here: Path) -> None:
    """The index compares time and size first."""
    git(here, "config", "core.trustctime", "false")
    git(here, "config", "core.checkStat", "minimal")
    stat = (here / CHECK).stat()
    (here / CHECK).write_text("def test_one(): 1/1\n", encoding="utf-8")
    os.utime(here / CHECK, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def excluded(here: Path) -> None:
    (here / ".git" / "info" / "exclude").write_text("test_more.py\n", encoding="utf-8")
    (here / "checks" / "test_more.py").write_text("", encoding="utf-8")


def ignored(here: Path) -> None:
    (here / ".gitignore").write_text("*.py\n", encoding="utf-8")
    (here / "src" / "torch.py").write_text("", encoding="utf-8")


def settings(here: Path) -> None:
    git(here, "config", "status.showUntrackedFiles", "no")
    git(here, "config", "core.fsmonitor", "true")
    (here / "checks" / "conftest.py").write_text("", encoding="utf-8")


def replaced(here: Path) -> None:
    """`git replace` shows another commit in the place of HEAD."""
    first = git(here, "rev-parse", "HEAD")
    weaken(here)
    commit(here, "weaker")
    second = git(here, "rev-parse", "HEAD")
    git(here, "reset", "-q", "--soft", first)
    git(here, "replace", first, second)


def filtered(here: Path) -> None:
    (here / ".git" / "info" / "attributes").write_text("*.py filter=same\n", encoding="utf-8")
    git(here, "config", "filter.same.clean", f"git show HEAD:{CHECK}")
    weaken(here)


def sparse(here: Path) -> None:
    git(here, "sparse-checkout", "set", "src", "container", "benchmarks")


def linked(here: Path) -> None:
    (here / CHECK).rename(here / "docs" / "test_one.py")
    (here / CHECK).symlink_to("../docs/test_one.py")


def linked_folder(here: Path) -> None:
    (here / "docs" / "more").mkdir()
    (here / "checks" / "more").symlink_to("../docs/more")


def compiled(here: Path) -> None:
    """A module that Python loads without a look at its source."""
    module = here / "src" / "dgxcert" / "module.py"
    before = module.read_bytes()
    module.write_text("LIMIT = 0\n", encoding="utf-8")
    py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_bytes(before)


def without_source(here: Path) -> None:
    (here / "src" / "dgxcert" / "more.pyc").write_bytes(b"")


def deleted(here: Path) -> None:
    (here / CHECK).unlink()


def in_the_recipe(here: Path) -> None:
    with (here / "compose.yaml").open("a", encoding="utf-8") as file:
        file.write("# NVIDIA_TF32_OVERRIDE\n")


@pytest.mark.parametrize(
    "change",
    [
        *(weaken, hidden_by_the_index, skipped_by_the_index, hidden_by_time_and_size, excluded, ignored, settings),
        *(replaced, filtered, sparse, linked, linked_folder, compiled, without_source, deleted, in_the_recipe),
    ],
)
def test_a_change_is_a_modification_however_it_is_hidden(here: Path, change: Callable[[Path], None]) -> None:
    change(here)
    assert compare(here).modified is True
    assert compare(here).reason


def test_variables_of_a_hook_do_not_name_another_repository(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = clone(tmp_path / "other")
    weaken(other)
    commit(other, "weaker")
    weaken(here)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert compare(here).modified is True


def no_git(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def no_clone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".git").rename(here / "git")


def no_commit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".git" / "HEAD").write_text("ref: refs/heads/nothing\n", encoding="utf-8")


def damaged_index(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".git" / "index").write_bytes(b"damaged")


def slow_git(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(here, monkeypatch, "sleep 30")
    monkeypatch.setattr(source, "GIT_S", 0.2)


def lying_git(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that shows another commit's content under the id of this one."""
    first = git(here, "rev-parse", "HEAD")
    weaken(here)
    commit(here, "weaker")
    told = f'*rev-parse*) echo {first} ;; *) exec /usr/bin/git "${{@//{first}/HEAD}}" ;;'
    program(here, monkeypatch, f'case "$*" in {told} esac')


def yes_git(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(here, monkeypatch, "exit 0")


def babbling_git(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git(here, "rev-parse", "HEAD")
    program(here, monkeypatch, f"echo {first}")


def program(here: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called git before the real one."""
    folder = here.parent / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (no_git, "git is not installed"),
        (no_clone, "there is no .git, so this is not a clone"),
        (no_commit, "`git rev-parse` failed: fatal"),
        (damaged_index, "`git ls-files` failed: fatal"),
        (slow_git, "git did not answer within"),
        (lying_git, "does not hash to it"),
        (yes_git, "git names no commit, but ''"),
        (babbling_git, "git's answer cannot be read"),
    ],
)
@pytest.mark.parametrize("change", [weaken, lambda _: None])
def test_what_cannot_be_told_is_unknown_with_its_reason(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
    change: Callable[[Path], None],
) -> None:
    trouble(here, monkeypatch)
    change(here)
    compared = compare(here)
    assert compared.modified is None
    assert reason in compared.reason


def test_a_package_from_elsewhere_is_named(here: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "site-packages" / "dgxcert"
    compared = source.compare(here, elsewhere, DECIDES)
    assert compared.modified is None
    assert compared.reason == f"dgxcert is imported from {elsewhere}, which is not in the clone"


def test_a_file_that_cannot_be_read_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert compare(here).modified is None
    assert compare(here).reason.endswith("cannot be read: Permission denied")
