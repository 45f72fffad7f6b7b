"""What is delivered is the commit, whatever the checkout is, and a host can prove it."""

import csv
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.plan import source
from dgxcert.plan.suite import DECIDES, Suite
from dgxcert.room.delivery import archive
from dgxcert.room.on_host import maker


def git(folder: Path, *args: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", "-C", str(folder), *named, *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "src" / "dgxcert").mkdir(parents=True)
    (root / "src" / "dgxcert" / "a.py").write_text("a = 1\n")
    (root / "pyproject.toml").write_text('[project]\nname = "dgxcert"\nversion = "1.2"\ndependencies = ["rich"]\n')
    git(tmp_path, "init", "-q", str(root))
    for message in ("first", "second"):
        (root / "README.md").write_text(message)
        git(root, "add", "-A")
        git(root, "commit", "-qm", message)
    return root


def delivered(root: Path, into: Path) -> tuple[Path, source.Compared]:
    """What a host has of a checkout, and what dgxcert there says of it."""
    suite = Suite(version="1.2", commit=git(root, "rev-parse", "HEAD").strip(), sha256="a" * 64)
    packed = archive.make(suite, root, into / "packed")
    with tarfile.open(packed.path) as content:
        content.extractall(into / "host", filter="data")
    clone = into / "host" / archive.CLONE
    return clone, source.compare(clone, clone / "src" / "dgxcert", DECIDES)


def test_a_host_proves_the_commit_unmodified(checkout: Path, tmp_path: Path) -> None:
    clone, found = delivered(checkout, tmp_path)
    assert found == source.Compared(git(checkout, "rev-parse", "HEAD").strip(), False, "")
    assert "Version: 1.2\nRequires-Dist: rich\n" in (clone.parent / "dgxcert-1.2.dist-info" / "METADATA").read_text()


def test_changes_of_the_working_tree_stay_here_and_are_said(checkout: Path, tmp_path: Path) -> None:
    (checkout / "src" / "dgxcert" / "a.py").write_text("a = 2\n")
    (checkout / "src" / "dgxcert" / "new.py").touch()
    clone, found = delivered(checkout, tmp_path)
    assert found.modified is False
    assert (clone / "src" / "dgxcert" / "a.py").read_text() == "a = 1\n"
    assert not (clone / "src" / "dgxcert" / "new.py").exists()
    changed = Suite(version="1", commit="c" * 40, modified=True, reason="src/dgxcert/a.py was changed", sha256="a")
    assert "src/dgxcert/a.py was changed" in archive.note(changed)


def test_a_shallow_clone_and_a_detached_head_are_delivered(checkout: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", checkout.as_uri(), str(shallow))
    git(shallow, "checkout", "-q", "--detach")
    _, found = delivered(shallow, tmp_path)
    assert found.modified is False
    assert found.commit == git(checkout, "rev-parse", "HEAD").strip()


def test_a_worktree_at_an_older_commit_is_delivered(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"), "HEAD~")
    clone, found = delivered(tmp_path / "tree", tmp_path)
    assert found.modified is False
    assert (clone / "README.md").read_text() == "first"


def test_settings_of_git_and_hooks_change_nothing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text("#!/bin/sh\necho b = 1 >>src/dgxcert/a.py\n")
    (template / "post-checkout").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[init]\n\ttemplateDir = {template.parent}\n[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert delivered(checkout, tmp_path)[1].modified is False


def test_a_head_that_moved_is_not_delivered_as_another_commit(checkout: Path, tmp_path: Path) -> None:
    older = Suite(version="1.2", commit=git(checkout, "rev-parse", "HEAD~").strip(), sha256="a" * 64)
    with pytest.raises(CannotStart, match="HEAD has moved"):
        archive.make(older, checkout, tmp_path / "packed")
    assert not list((tmp_path / "packed").glob("*.tgz"))


@pytest.mark.parametrize("modified", [True, None])
def test_what_no_host_could_prove_is_refused(modified: bool | None) -> None:
    with pytest.raises(CannotStart, match="not established unmodified"):
        archive.require(Suite(version="1", modified=modified, reason="a.py was changed", sha256="a", installed=True))
    with pytest.raises(CannotStart, match="neither a clone nor installed from a wheel"):
        archive.require(Suite(version="1", modified=modified, reason="there is no .git", sha256="a"))


def test_a_wheel_is_installed_on_a_host_as_it_was_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, content, there = tmp_path / "here", tmp_path / "content", tmp_path / "there"
    info = here / "dgxcert-1.0.0.dist-info"
    files = {
        here / "dgxcert/__init__.py": "def main() -> None: ...\n",
        info / "METADATA": "Metadata-Version: 2.1\nName: dgxcert\nVersion: 1.0.0\n",
        info / "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info / "entry_points.txt": "[console_scripts]\ndgxcert = dgxcert:main\n",
        info / "INSTALLER": "pip\n",
    }
    listed = [path.relative_to(here).as_posix() for path in files]
    files[info / "RECORD"] = "".join(
        f"{name},,\n" for name in (*listed, f"{info.name}/RECORD", "../../../bin/dgxcert", "dgxcert/__pycache__/a.pyc")
    )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(archive, "PACKAGE", here / "dgxcert")
    content.mkdir()
    archive._wheel(Suite(version="1.0.0", sha256="a" * 64), content)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", there], check=True)
    (site,) = there.glob("lib/python*/site-packages")
    maker._add_dgxcert(there / "bin" / "python", site, content)
    with (site / info.name / "RECORD").open() as record:
        installed = [row[0] for row in csv.reader(record)]
    assert len(installed) == len(set(installed))
    assert {name for name in installed if not (site / name).exists()} == set()
    assert "../../../bin/dgxcert" in installed
