"""Beside the lock: what the stack, dgxcert and the base image did not bring is listed, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert.probes.stack import beside, lockfile
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.placement import SearchPath

Install = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path, install: Install) -> SearchPath:
    """An environment with a package of the lock, one that dgxcert requires, one of Debian's name, and a guest."""
    site = tmp_path / "venv" / "site"
    for name in ("peft", "pydantic", "torchao", "pip"):
        install(site, name, "1.0")
    return SearchPath(
        "/work", (str(tmp_path / "more"), str(site)), frozenset({str(tmp_path / "more")}), prefix=str(tmp_path / "venv")
    )


def test_only_the_guest_is_beside_the_lock(path: SearchPath, lock: StackLock) -> None:
    (found,) = beside.read(lock, path)
    assert (found.name, found.version) == ("torchao", "1.0")
    assert "torchao 1.0 (nobody knows, in this environment" in beside.summary((found,))
    assert beside.summary(()) == "no package is installed beside the lock"


def test_a_package_of_the_lock_in_another_version_or_folder_is_a_guest_too(
    path: SearchPath, lock: StackLock, tmp_path: Path, install: Install
) -> None:
    install(tmp_path / "more", "peft", "0.9")
    assert [(each.name, each.version) for each in beside.read(lock, path)] == [("peft", "0.9"), ("torchao", "1.0")]


def test_packages_of_the_base_image_are_its_own(
    path: SearchPath, lock: StackLock, tmp_path: Path, install: Install
) -> None:
    image = replace(lock, in_image=True, base_packages={"torchao": "1.0"})
    assert beside.read(image, path) == ()
    other = replace(lock, in_image=True, base_packages={"torchao": "0.14.0"})
    assert [each.name for each in beside.read(other, path)] == ["torchao"]
    install(tmp_path / "more", "xformers", "1.0")
    assert [each.name for each in beside.read(image, path)] == ["xformers"]


def test_what_setup_has_stamped_is_its_own(
    path: SearchPath, lock: StackLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    (tmp_path / "venv" / lockfile.STAMP).write_text(f"{lockfile.MADE_HERE}\nhash\ntorchao==1.0\n", encoding="utf-8")
    assert beside.read(lock, path) == ()


def test_a_long_list_is_cut(path: SearchPath, lock: StackLock) -> None:
    (found,) = beside.read(lock, path)
    assert beside.summary((found,) * (beside.SHOWN + 2)).endswith("; and 2 more")
