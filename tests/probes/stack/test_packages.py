"""Packages: other versions, duplicates, hidden and altered files are found as a user's Python would find them."""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import packages, placement
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.packages import SearchPath

Install = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, install: Install) -> Path:
    """A folder with the packages of the lock."""
    install(tmp_path / "site", "peft", "1.0")
    install(tmp_path / "site", "torch", "2.0")
    return tmp_path / "site"


@pytest.fixture
def path(site: Path, tmp_path: Path) -> SearchPath:
    """The search path of a Python that is started in an empty folder."""
    (tmp_path / "work").mkdir()
    return SearchPath(str(tmp_path / "work"), (str(tmp_path / "work"), str(site)))


def test_stack_as_locked_has_no_finding(lock: StackLock, path: SearchPath) -> None:
    assert packages.other_versions(lock, path) == packages.duplicates(lock, path) == []
    assert packages.altered(lock, path)[0] == []
    assert packages.summary([]) == "none"


def test_metadata_without_a_version_is_named_with_what_sets_it_aside(
    lock: StackLock, path: SearchPath, site: Path
) -> None:
    for name in ("peft-0.9.dist-info", "other-1.0.dist-info", "~eft-0.9.dist-info"):
        (site / name).mkdir()
    (finding,) = packages.other_versions(lock, path)
    assert (finding.name, f"no file of {site}/peft-0.9.dist-info" in finding.found) == ("peft", True)
    assert packages.remedy([finding], lock)[0].endswith(f"mv {site}/peft-0.9.dist-info {site}/peft-0.9.dist-info.left")


def test_versions_are_compared_by_value(path: SearchPath, site: Path, install: Install) -> None:
    install(site, "datasets", "4.0-rc1")
    install(site, "evaluate", "0.4+cu126")
    lock = StackLock("course", "the lock", {"datasets": "4.0rc1", "evaluate": "0.4"})
    findings = packages.other_versions(lock, path)
    assert packages.summary(findings) == "evaluate: found 0.4+cu126, expected 0.4"


def test_duplicate_in_another_folder_is_named_only_for_packages_of_the_stack(
    path: SearchPath, tmp_path: Path, install: Install
) -> None:
    lock = StackLock("course", "the lock", {"peft": "1.0", "yaml": "6"})
    for folder in ("home", "system"):
        install(tmp_path / folder, "yaml", "6")
    install(tmp_path / "home", "peft", "0.9")
    wide = SearchPath(path.started_in, (*path.folders, str(tmp_path / "home"), str(tmp_path / "system")))
    (finding,) = packages.duplicates(lock, wide)
    assert (finding.name, finding.expected) == ("peft", "one")
    assert "1.0 in" in finding.found
    assert "0.9 in" in finding.found


def test_duplicate_in_the_same_folder_is_named_for_every_locked_package(
    lock: StackLock, path: SearchPath, site: Path, install: Install
) -> None:
    for version in ("6", "7"):
        install(site, "yaml", version)
    with_yaml = StackLock("course", "the lock", {"yaml": "7"})
    assert [finding.name for finding in packages.duplicates(with_yaml, path)] == ["yaml"]
    assert packages.duplicates(lock, path) == []


def test_edited_and_missing_files_are_named(lock: StackLock, path: SearchPath, site: Path) -> None:
    (site / "peft" / "__init__.py").write_text("edited = True\n", encoding="utf-8")
    (site / "torch" / "__init__.py").unlink()
    assert [str(finding) for finding in packages.altered(lock, path)[0]] == [
        f"peft: found another {site}/peft/__init__.py, expected the files that were installed",
        f"torch: found no {site}/torch/__init__.py, expected the files that were installed",
    ]


def test_files_of_the_base_image_are_skipped(lock: StackLock, path: SearchPath, site: Path) -> None:
    for name in ("peft", "torch"):
        (site / name / "__init__.py").write_text("edited = True\n", encoding="utf-8")
    with_base = StackLock("course", "the lock", lock.versions, of_base=frozenset({"torch"}))
    assert [finding.name for finding in packages.altered(with_base, path)[0]] == ["peft"]


def test_package_without_a_record_cannot_be_verified(
    lock: StackLock, path: SearchPath, site: Path, install: Install
) -> None:
    install(site, "datasets", "4.0", record=False)
    with pytest.raises(Inconclusive, match="datasets has no list"):
        packages.altered(lock, path)


def test_record_without_hashes_is_not_that_of_the_pinned_package(lock: StackLock, path: SearchPath, site: Path) -> None:
    (record,) = site.glob("peft-*.dist-info/RECORD")
    rows = [line.split(",")[0] for line in record.read_text(encoding="utf-8").splitlines()]
    record.write_text("".join(f"{row},,\n" for row in rows), encoding="utf-8")
    assert [str(finding) for finding in packages.altered(lock, path)[0]] == [
        "peft: found a package that lists no hash of its files, expected the files that were installed"
    ]


def test_search_path_is_that_of_the_starting_folder_and_no_file_there_is_executed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("json.py", "ast.py", "torch.py"):
        (tmp_path / name).write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    monkeypatch.setenv(packages.STARTED_IN, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "more"))
    path = packages.search_path()
    assert path.folders[:2] == (os.path.realpath(tmp_path), os.path.realpath(tmp_path / "more"))


def test_a_file_that_a_package_beside_the_lock_has_replaced_is_named(
    lock: StackLock, path: SearchPath, site: Path, install: Install
) -> None:
    here = replace(path, prefix=str(site))
    lists = {}
    for name in ("nvidia_cudnn_cu13", "nvidia_cudnn_cu12", "wandb"):
        install(site, name, "9.0")
        lists[name] = next(site.glob(f"{name}-*.dist-info/RECORD"))
    library = site / "nvidia" / "libcudnn.so.9"
    library.parent.mkdir()
    for name in ("nvidia_cudnn_cu13", "nvidia_cudnn_cu12"):
        library.write_text(name, encoding="utf-8")
        digest = base64.urlsafe_b64encode(hashlib.sha256(library.read_bytes()).digest()).decode().rstrip("=")
        with lists[name].open("a", encoding="utf-8") as record:
            record.write(f"nvidia/libcudnn.so.9,sha256={digest},{library.stat().st_size}\n")
    found = packages.installed(here)
    guests = tuple(placement.package(found[name][0], here) for name in ("nvidia-cudnn-cu12", "wandb"))
    (finding,) = packages.overwritten(guests, here)
    assert str(finding) == (
        "nvidia-cudnn-cu13: found nvidia/libcudnn.so.9 of nvidia-cudnn-cu12 9.0, expected the file that was installed"
    )
    assert "uninstall -y nvidia-cudnn-cu12" in packages.steps([finding])[0]
    library.write_text("nvidia_cudnn_cu13", encoding="utf-8")
    assert packages.overwritten(guests, here) == []
    assert packages.overwritten((), here) == []
