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
    assert not any("pip install" in step for step in lock.reinstall(["peft"]))
    monkeypatch.setattr(lockfile, "version", lambda name: "0.14")
    assert lockfile.read().versions["torchao"] == "0.14"


def test_lock_of_a_native_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path / "none")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(Inconclusive, match="are unknown"):
        lockfile.read()
    assert any("make setup" in step for step in lockfile.advice("peft"))
    (tmp_path / lockfile.NATIVE).write_text("# stack course\npeft==1.0\n", encoding="utf-8")
    assert (lockfile.read().stack, lockfile.read().versions) == ("course", {"peft": "1.0"})
    assert any("peft==1.0" in step for step in lockfile.advice("peft"))


def test_setup_writes_the_lock_of_the_installed_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    setup: ModuleType = importlib.import_module("setup")
    assert setup.LOCK == lockfile.NATIVE
    (tmp_path / "small.lock").write_text("pytest==0.1 \\\n    --hash=sha256:00\n", encoding="utf-8")
    written = setup.lock(tmp_path / "small.in", [sys.executable, "-m", "pip", "--disable-pip-version-check"])
    assert written.startswith("# stack small\n")
    assert lockfile.parse(written)["pytest"] == pytest.__version__
    assert "mypy" not in written
