"""Setting up reports what it needs and what it found, and repairs an incomplete environment."""

import importlib
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("setup")


def test_an_environment_without_pip_counts_as_none(setup: ModuleType, tmp_path: Path) -> None:
    assert not setup._has_pip(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "half")], check=True)
    assert not setup._has_pip(tmp_path / "half")


def test_an_unknown_stack_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py", "--venv", str(tmp_path / "venv"), "--stack", "coarse"])
    with pytest.raises(SystemExit, match=r"unknown stack 'coarse'.*course, current"):
        setup.main()


def test_a_python_that_is_too_old_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    monkeypatch.setattr(setup, "OLDEST", (3, 99))
    with pytest.raises(SystemExit, match=r"wanted Python 3\.11 to 3\.13, found"):
        setup.main()


def test_the_stamp_depends_on_stack_and_scope(setup: ModuleType) -> None:
    stacks = [setup._fingerprint(setup.STACKS / f"{name}.in", "whole") for name in ("course", "current")]
    assert stacks[0] != stacks[1]
    assert stacks[0] == setup._fingerprint(setup.STACKS / "course.in", "whole")
    assert stacks[0] != setup._fingerprint(setup.STACKS / "course.in", "host")


def test_no_stack_is_installed_where_the_work_runs_in_the_container(setup: ModuleType) -> None:
    for runtime, elsewhere in (("docker", True), ("native", False)):
        assert setup._in_container(Namespace(runtime=runtime, profile="auto")) is elsewhere
    with pytest.raises(SystemExit, match="unknown runtime 'podman'"):
        setup._in_container(Namespace(runtime="podman", profile="auto"))
