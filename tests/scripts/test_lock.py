"""The locks of the container match their inputs, are hash-pinned, and exclude what the base image provides."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT

LOCKS = sorted((ROOT / "container" / "stacks").glob("*.lock"))


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
    assert [path.stem for path in LOCKS] == ["course", "current"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_pin_carries_hashes(path: Path) -> None:
    for name, entry in pins(path).items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
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
    assert lock.stale() == ["course"]
