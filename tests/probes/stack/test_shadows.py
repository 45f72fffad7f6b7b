"""Shadows: a file in place of a package or of Python's own module is found, with what gets it out of the way."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert.probes.stack import packages, shadows
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.placement import SearchPath

Install = Callable[..., Path]
OWN = os.path.realpath(os.path.dirname(os.__file__))


@pytest.fixture
def site(tmp_path: Path, install: Install) -> Path:
    """A folder with the packages of the lock."""
    install(tmp_path / "site", "peft", "1.0")
    install(tmp_path / "site", "torch", "2.0")
    return tmp_path / "site"


@pytest.fixture
def path(site: Path, tmp_path: Path) -> SearchPath:
    """The search path of a Python that is started in an empty folder, with a second one in PYTHONPATH."""
    for name in ("work", "more"):
        (tmp_path / name).mkdir()
    more = str(tmp_path / "more")
    return SearchPath(str(tmp_path / "work"), (str(tmp_path / "work"), more, OWN, str(site)), frozenset({more}))


@pytest.mark.parametrize(("file", "renamed"), [("torch.py", "torch.py"), ("torch/__init__.py", "torch")])
def test_file_in_the_working_folder_hides_a_package(lock: StackLock, path: SearchPath, file: str, renamed: str) -> None:
    hiding = Path(path.started_in, file)
    hiding.parent.mkdir(exist_ok=True)
    hiding.touch()
    findings = shadows.read(lock, path)
    assert [(finding.name, finding.found) for finding in findings] == [("torch", str(hiding))]
    steps = packages.remedy(findings, lock)
    assert steps[0] == f"Give {renamed}, which the evidence names with its folder, another name."
    assert any("another folder" in step for step in steps)


def test_folder_without_python_files_hides_nothing(lock: StackLock, path: SearchPath) -> None:
    Path(path.started_in, "torch").mkdir()  # a folder of checkpoints may have this name
    assert shadows.read(lock, path) == []


@pytest.mark.parametrize("record", [True, False])
def test_package_without_a_record_owns_the_files_in_its_folder(
    lock: StackLock, path: SearchPath, site: Path, install: Install, record: bool
) -> None:
    install(site, "datasets", "4.0", record=record)
    assert shadows.read(lock, path) == []
    Path(path.started_in, "datasets.py").touch()
    assert [finding.name for finding in shadows.read(lock, path)] == ["datasets"]


@pytest.mark.parametrize("file", ["random.py", "tokenize.py", "code.py", "queue/__init__.py", "calendar.pyc"])
def test_a_file_hides_a_module_of_python(lock: StackLock, path: SearchPath, file: str) -> None:
    hiding = Path(path.started_in, file)
    hiding.parent.mkdir(exist_ok=True)
    hiding.touch()
    (finding,) = shadows.read(lock, path)
    assert (finding.name, finding.found) == (file.partition(".")[0].partition("/")[0], str(hiding))
    assert "Python's own" in shadows.summary([finding])
    assert "another name" in packages.remedy([finding], lock)[0]


@pytest.mark.parametrize("file", ["test/__init__.py", "turtle.py", "sys.py", "os.py", "queue/data.json", "notes.py"])
def test_a_file_that_hides_nothing_is_quiet(lock: StackLock, path: SearchPath, file: str) -> None:
    hiding = Path(path.started_in, file)
    hiding.parent.mkdir(exist_ok=True)
    hiding.touch()
    assert shadows.read(lock, path) == []


def test_a_file_behind_python_s_own_hides_nothing(lock: StackLock, path: SearchPath, site: Path) -> None:
    (site / "random.py").touch()
    assert shadows.read(lock, path) == []


def test_a_folder_in_pythonpath_is_left_out_by_its_variable(lock: StackLock, path: SearchPath, tmp_path: Path) -> None:
    for name in ("peft", "random"):
        (tmp_path / "more" / f"{name}.py").touch()
    findings = shadows.read(lock, path)
    assert [finding.name for finding in findings] == ["peft", "random"]
    assert any("unset PYTHONPATH" in step for step in packages.remedy(findings, lock))


def test_a_package_of_the_lock_that_is_not_of_the_stack_is_watched_too(
    lock: StackLock, path: SearchPath, site: Path, install: Install
) -> None:
    install(site, "filelock", "3.0")
    Path(path.started_in, "filelock.py").touch()
    assert shadows.read(lock, path) == []
    wider = replace(lock, versions={**lock.versions, "filelock": "3.0"})
    assert [finding.name for finding in shadows.read(wider, path)] == ["filelock"]


def test_many_findings_are_cut(lock: StackLock, path: SearchPath) -> None:
    for name in ("abc", "ast", "bisect", "copy", "csv", "enum", "glob", "gzip", "heapq", "html", "json", "queue", "re"):
        Path(path.started_in, f"{name}.py").touch()
    assert "more" in shadows.summary(shadows.read(lock, path))
