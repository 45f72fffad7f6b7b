"""The locks match their inputs and each other, are hash-pinned, and leave out what the base image provides."""

import importlib
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

STACKS = sorted((ROOT / "container" / "stacks").glob("*.lock"))
LOCKS = [*STACKS, *sorted(ROOT.glob("requirements*.lock"))]


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("lock")


def pins(path: Path) -> dict[str, str]:
    """Package name to the text of its entry."""
    entries = re.split(r"^(?=[a-z0-9])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {entry.partition("==")[0]: entry for entry in entries}


def test_every_stack_has_a_lock_made_from_it(lock: ModuleType) -> None:
    assert lock.stale() == [], "lock them again: make lock"
    assert [path.stem for path in STACKS] == ["course", "current"]


def test_what_supervises_and_signs_is_locked_with_what_builds_it() -> None:
    assert {"docker", "pydantic", "pytest", "typer", "hatchling", "editables"} <= set(pins(ROOT / "requirements.lock"))
    assert "ruff" not in pins(ROOT / "requirements.lock")
    assert set(pins(ROOT / "requirements.lock")) < set(pins(ROOT / "requirements-dev.lock"))


def test_both_builds_of_torch_are_of_the_version_that_is_asked_for(lock: ModuleType) -> None:
    for name, local in (("requirements-torch.lock", ""), ("requirements-torch-cpu.lock", r"\+cpu")):
        assert re.match(rf"{re.escape(lock.TORCH)}{local} \\", pins(ROOT / name)["torch"])
    for_cpu = pins(ROOT / "requirements-torch-cpu.lock")["torch"]
    assert len(set(re.findall(r"sha256:([0-9a-f]{64})", for_cpu))) == 6  # three Pythons on two processors


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_pin_carries_hashes(path: Path) -> None:
    for name, entry in pins(path).items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_nothing_of_nvidias_is_pinned(path: Path) -> None:
    names = pins(path)
    strays = [name for name in names if name in {"torch", "triton", "torchvision", "numpy", "torchao"}]
    strays += [name for name in names if name.startswith(("nvidia-", "cuda-")) and name != "nvidia-ml-py"]
    assert strays == []


@pytest.mark.parametrize("stack", ["course", "current"])
def test_the_lock_contains_every_package_of_its_stack(stack: str) -> None:
    asked = (ROOT / "container" / "stacks" / f"{stack}.in").read_text(encoding="utf-8")
    locked = pins(ROOT / "container" / "stacks" / f"{stack}.lock")
    for name, version in re.findall(r"^([a-z_-]+)==([0-9.]+)$", asked, re.MULTILINE):
        assert locked[name.replace("_", "-")].startswith(f"{name.replace('_', '-')}=={version} ")


def test_a_changed_stack_makes_its_lock_stale(
    lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (ROOT / "container" / "stacks").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "course.in").write_text("transformers==4.57.5\n", encoding="utf-8")
    monkeypatch.setattr(lock, "STACKS", tmp_path)
    assert lock.stale() == ["course.lock"]


def test_a_new_dependency_makes_the_locks_stale_that_it_belongs_in(
    lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "container" / "stacks", tmp_path / "container" / "stacks")
    for path in (*ROOT.glob("requirements*.lock"), ROOT / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setattr(lock, "STACKS", tmp_path / "container" / "stacks")
    assert lock.stale() == []
    pyproject = (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(pyproject.replace("dev = [", 'dev = [\n  "six",'), encoding="utf-8")
    assert lock.stale() == ["requirements-dev.lock"]
    monkeypatch.setattr(sys, "argv", ["lock.py", "--check"])
    with pytest.raises(SystemExit, match=r"stale: requirements-dev\.lock\. Lock them again: make lock"):
        lock.main()


def test_a_lock_that_pins_another_version_than_the_developments_is_stale(
    lock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    other = re.sub(r"^typer==\S+", "typer==0.1", text, flags=re.MULTILINE)
    (tmp_path / "requirements.lock").write_text(other, encoding="utf-8")
    host = next(each for each in lock.locks() if each.path.name == "requirements.lock")
    assert host.fresh
    assert not replace(host, path=tmp_path / "requirements.lock").fresh


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_pin_of_a_lock_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    lock_file = importlib.import_module("lock_file")
    text = path.read_text(encoding="utf-8")
    found = lock_file.read(path)
    assert sum(entry.text.count("--hash=") for entry in found) == text.count("--hash=")
    assert {entry.name for entry in found} == set(pins(path))
    assert all(re.fullmatch(r"[0-9][0-9a-z.+]*", entry.version) for entry in found)
