"""Lock: read from the image or from the environment, for this Python; its steps restore a package."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import lockfile

PINS = """# made by `make lock`
scikit_learn==1.9.1 \\
    --hash=sha256:00
    # via -r course.in
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
scipy==1.0 ; python_full_version < '3' \\
scipy==2.0 ; python_full_version >= '3' \\
"""


def test_only_pins_for_this_python_are_read() -> None:
    assert lockfile.parse(PINS) == {"scikit-learn": "1.9.1", "scipy": "2.0"}


def test_lock_without_pins_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="pins nothing"):
        lockfile.parse("# nothing\n")


def test_lock_of_the_image_holds_the_packages_of_the_base_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path)
    monkeypatch.setattr(lockfile, "version", lambda name: None)
    monkeypatch.setenv("DGXCERT_STACK", "current")
    base = {"kept": {"torch": "2.10.0a0+nv25.11", "torchao": "0.14"}, "conflicts": ["apex wants more"]}
    (tmp_path / "base.json").write_text(json.dumps(base), encoding="utf-8")
    (tmp_path / "stack.lock").write_text("peft==1.0 \\\n", encoding="utf-8")
    lock = lockfile.read()
    assert lock.versions == {"peft": "1.0", "torch": "2.10.0a0+nv25.11"}  # the guard may uninstall torchao
    assert (lock.stack, lock.of_base, lock.conflicts) == ("current", {"torch"}, ("apex wants more",))
    assert not any("pip install" in step for step in lock.restore)
    assert lock.restore[-1].endswith("docker image rm dgxcert:current; make image STACK=current")
    monkeypatch.setattr(lockfile, "version", lambda name: "0.14")
    assert lockfile.read().versions["torchao"] == "0.14"


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The root of a native environment, which is empty."""
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path / "none")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (tmp_path / ".venv").mkdir()
    return tmp_path / ".venv"


def test_lock_of_a_native_environment(prefix: Path) -> None:
    (prefix / lockfile.NATIVE).write_text("# stack course\npeft==1.0\n", encoding="utf-8")
    assert (lockfile.read().stack, lockfile.read().versions) == ("course", {"peft": "1.0"})


@pytest.mark.parametrize("stamp", ["", "0" * 64])
def test_no_step_changes_an_environment_that_is_not_dgxcerts_own(prefix: Path, stamp: str) -> None:
    if stamp:  # an earlier dgxcert wrote one into every environment that it was told to use
        (prefix / lockfile.STAMP).write_text(stamp, encoding="ascii")
    with pytest.raises(Inconclusive, match="are unknown") as raised:
        lockfile.read()
    (prefix / lockfile.NATIVE).write_text("# stack course\npeft==1.0\n", encoding="utf-8")
    for steps in (raised.value.remedy, lockfile.read().restore, lockfile.advice()[1:]):
        assert steps == lockfile.OWN_ENVIRONMENT
        assert not any(str(prefix) in step or sys.executable in step for step in steps)


@pytest.mark.parametrize(
    ("name", "stack", "command"),
    [
        (".venv", "course", "make setup"),
        (".venv", "current", "make setup STACK=current"),
        ("other", "current", "make setup STACK=current VENV=other"),
    ],
)
def test_an_environment_of_its_own_is_restored(
    monkeypatch: pytest.MonkeyPatch, prefix: Path, name: str, stack: str, command: str
) -> None:
    monkeypatch.setattr(sys, "prefix", str(prefix.parent / name))
    (prefix.parent / name).mkdir(exist_ok=True)
    (prefix.parent / name / lockfile.STAMP).write_text(f"{lockfile.MADE_HERE}\n", encoding="utf-8")
    (prefix.parent / name / lockfile.NATIVE).write_text(f"# stack {stack}\npeft==1.0\n", encoding="utf-8")
    (step,) = lockfile.read().restore
    assert step.endswith(f": {command}")


def test_setup_writes_the_lock_and_the_stamp_that_are_read_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    setup: ModuleType = importlib.import_module("setup")
    assert (setup.LOCK, setup.STAMP, setup.MADE_HERE) == (lockfile.NATIVE, lockfile.STAMP, lockfile.MADE_HERE)
    (tmp_path / "small.lock").write_text("pytest==0.1 \\\n    --hash=sha256:00\n", encoding="utf-8")
    written = setup.lock(tmp_path / "small.in", {"pytest": "9.1", "mypy": "1.18", "torch": "2.13.0+cpu"})
    assert written == "# stack small\npytest==9.1\ntorch==2.13.0+cpu\n"
    assert lockfile.parse(written) == {"pytest": "9.1", "torch": "2.13.0+cpu"}
