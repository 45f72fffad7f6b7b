"""Placement: where a package lies and who installed it decides what takes it away, and pip is never told in vain."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from dgxcert.probes.stack import packages, placement
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.placement import Place, SearchPath

Install = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path) -> SearchPath:
    """A search path with one folder of each kind."""
    folders = {name: tmp_path / name for name in ("work", "more", "home", "venv/site", "linked", "system")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (tmp_path / "venv/site/linked.pth").write_text(f"{tmp_path}/linked\nimport os\n", encoding="utf-8")
    return SearchPath(
        str(tmp_path / "work"),
        tuple(map(str, folders.values())),
        frozenset({str(tmp_path / "more")}),
        str(tmp_path / "home"),
        str(tmp_path / "venv"),
    )


@pytest.mark.parametrize(
    ("folder", "place", "step"),
    [
        ("more", Place.PYTHONPATH, "unset PYTHONPATH"),
        ("home", Place.USER_SITE, "export PYTHONNOUSERSITE=1"),
        ("work", Place.WORKING_FOLDER, "Work in another folder"),
        ("linked", Place.PTH, "Give the .pth file"),
        ("system", Place.OTHER_PYTHON, "make setup VENV=.venv-dgxcert"),
        ("venv/site", Place.ENVIRONMENT, "python -m pip uninstall -y torchao"),
    ],
)
def test_each_place_has_its_own_remedy(
    path: SearchPath, tmp_path: Path, install: Install, folder: str, place: Place, step: str
) -> None:
    install(tmp_path / folder, "torchao", "0.15.0")
    package = placement.package(packages.installed(path)["torchao"][0], path)
    assert (package.place, package.version, package.modules) == (place, "0.15.0", ("torchao",))
    assert step in package.removal[0]
    assert ("pip uninstall" in " ".join(package.removal)) is (place is Place.ENVIRONMENT)


@pytest.mark.parametrize(("folder", "step"), [("more", "unset PYTHONPATH"), ("home", "export PYTHONNOUSERSITE=1")])
def test_a_copy_outside_the_environment_is_not_met_by_setup(
    path: SearchPath, tmp_path: Path, install: Install, folder: str, step: str
) -> None:
    lock = StackLock("course", "the lock", {"peft": "1.0"})
    install(tmp_path / "venv/site", "peft", "1.0")
    assert packages.other_versions(lock, path) == packages.duplicates(lock, path) == []
    install(tmp_path / folder, "peft", "0.9")
    for findings in (packages.other_versions(lock, path), packages.duplicates(lock, path)):
        steps = packages.remedy(findings, lock)
        assert step in steps[0]
        assert not any("make setup" in each or "pip" in each for each in steps)


def test_a_package_of_the_environment_is_met_by_setup_alone(path: SearchPath, tmp_path: Path, install: Install) -> None:
    install(tmp_path / "venv/site", "peft", "0.9")
    lock = StackLock("course", "the lock", {"peft": "1.0", "datasets": "4.0"})
    findings = packages.other_versions(lock, path)
    assert [finding.found for finding in findings] == ["nothing", "0.9"]
    assert packages.remedy(findings, lock) == lock.restore


@pytest.mark.parametrize(
    ("file", "content", "installer"),
    [
        ("INSTALLER", "uv\n", "uv"),
        ("direct_url.json", '{"url": "file:///src", "dir_info": {"editable": true}}', "editable from file:///src"),
        ("", "", "nobody knows"),
    ],
)
def test_the_installer_is_read(tmp_path: Path, install: Install, file: str, content: str, installer: str) -> None:
    install(tmp_path, "peft", "1.0")
    if file:
        (tmp_path / "peft-1.0.dist-info" / file).write_text(content, encoding="utf-8")
    (distribution,) = metadata.distributions(path=[str(tmp_path)])
    assert installer in placement.installer(distribution, str(tmp_path))
    assert placement.installer(distribution, "/usr/lib/python3/dist-packages") == "apt"


def test_modules_without_a_list_of_files_are_those_of_its_name(tmp_path: Path, install: Install) -> None:
    install(tmp_path, "flash_attn", "2.8", record=False)
    (distribution,) = metadata.distributions(path=[str(tmp_path)])
    assert placement.modules(distribution) == ("flash_attn",)
