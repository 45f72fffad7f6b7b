"""An installed wheel is unmodified only where each of its files is what RECORD says, and no file was added."""

import json
import os
import py_compile
import zipfile
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path

import pytest
from wheels import wheel

from dgxcert.plan import installation
from dgxcert.plan.source import Compared

CHECK = "dgxcert/suite/checks/test_one.py"
FILES = {
    "dgxcert/__init__.py": "",
    "dgxcert/module.py": "LIMIT = 1\n",
    CHECK: "def test_one(): ...\n",
    "dgxcert/suite/compose.yaml": "services: {}\n",
}
INFO = "dgxcert-0.1.0.dist-info"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder of packages of an environment into which a small dgxcert was installed."""
    folder = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel(tmp_path, "dgxcert", "0.1.0", files=dict(FILES), hashed=True)) as archive:
        archive.extractall(folder)
    return folder


def compare(site: Path) -> Compared:
    return installation.compare(site / "dgxcert")


def came_from(site: Path, **origin: object) -> None:
    (site / INFO / "direct_url.json").write_text(json.dumps({"url": "file:///x", **origin}), encoding="utf-8")


def add_to_record(site: Path, line: str) -> None:
    with (site / INFO / "RECORD").open("a", encoding="utf-8") as record:
        record.write(f"{line}\n")


def test_an_installed_wheel_is_its_record(site: Path) -> None:
    assert compare(site) == Compared(None, False, "")


def test_a_wheel_that_was_named_by_its_file_is_a_wheel(site: Path) -> None:
    came_from(site, archive_info={})
    assert compare(site).modified is False


def test_what_python_compiles_is_no_change(site: Path) -> None:
    py_compile.compile(str(site / "dgxcert" / "module.py"))
    add_to_record(site, "dgxcert/__pycache__/__init__.cpython-311.pyc,,")  # pip lists what it compiles, without a hash
    assert compare(site).modified is False


def weaker(site: Path) -> None:
    (site / CHECK).write_text("def test_one(): pass  # gutted\n", encoding="utf-8")


def added(site: Path) -> None:
    (site / "dgxcert" / "suite" / "checks" / "test_more.py").write_text("", encoding="utf-8")


def settings_for_compose(site: Path) -> None:
    (site / "dgxcert" / "suite" / ".env").write_text("DGXCERT_SHM=1g\n", encoding="utf-8")


def removed(site: Path) -> None:
    (site / CHECK).unlink()


def linked(site: Path) -> None:
    (site / CHECK).rename(site / "test_one.py")
    (site / CHECK).symlink_to(site / "test_one.py")


def linked_folder(site: Path) -> None:
    (site / "dgxcert" / "suite" / "benchmarks").symlink_to(site)


def fifo(site: Path) -> None:
    (site / CHECK).unlink()
    os.mkfifo(site / CHECK)


def compiled(site: Path) -> None:
    """A module that Python loads without a look at its source."""
    module = site / "dgxcert" / "module.py"
    before = module.read_bytes()
    module.write_text("LIMIT = 0\n", encoding="utf-8")
    py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_bytes(before)


def hashless(site: Path) -> None:
    record = site / INFO / "RECORD"
    lines = record.read_text(encoding="utf-8").splitlines()
    record.write_text("\n".join(f"{CHECK},," if line.startswith(CHECK) else line for line in lines), encoding="utf-8")


def another_launcher(site: Path) -> None:
    """What is installed outside of the folder of packages belongs to the distribution too."""
    add_to_record(site, "../bin/dgxcert,sha256=AAAA,1")
    (site.parent / "bin").mkdir()
    (site.parent / "bin" / "dgxcert").write_text("#!/bin/sh\n", encoding="utf-8")


def metadata(site: Path) -> None:
    with (site / INFO / "METADATA").open("a", encoding="utf-8") as file:
        file.write("Requires-Dist: more\n")


@pytest.mark.parametrize(
    "change",
    [
        *(weaker, added, settings_for_compose, removed, linked, linked_folder, fifo, compiled, hashless),
        *(another_launcher, metadata),
    ],
)
def test_a_change_is_a_modification_and_named(site: Path, change: Callable[[Path], None]) -> None:
    change(site)
    compared = compare(site)
    assert compared.modified is True
    assert compared.reason


def from_a_folder(site: Path) -> None:
    came_from(site, dir_info={})


def editable(site: Path) -> None:
    came_from(site, dir_info={"editable": True})


def from_a_repository(site: Path) -> None:
    came_from(site, vcs_info={"vcs": "git", "commit_id": "0" * 40})


def no_metadata(site: Path) -> None:
    (site / INFO).rename(site / "other.dist-info")


def metadata_twice(site: Path) -> None:
    (site / "dgxcert-0.2.0.dist-info").mkdir()


def no_record(site: Path) -> None:
    (site / INFO / "RECORD").unlink()


def linked_record(site: Path) -> None:
    (site / INFO / "RECORD").rename(site / "RECORD")
    (site / INFO / "RECORD").symlink_to(site / "RECORD")


def listed_twice(site: Path) -> None:
    add_to_record(site, f"{CHECK},sha256=AAAA,1")


def no_json(site: Path) -> None:
    (site / INFO / "direct_url.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        *(from_a_folder, editable, from_a_repository, no_metadata, metadata_twice, no_record, linked_record),
        *(listed_twice, no_json),
    ],
)
def test_what_cannot_be_told_is_not_taken_for_unmodified(site: Path, change: Callable[[Path], None]) -> None:
    change(site)
    compared = compare(site)
    assert compared.modified is None
    assert compared.reason


def test_packages_that_an_extra_brings_and_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"docker", "jinja2"} <= set(installation.names_of("host", requires("dgxcert") or ()))
    asked = ["pytest>=9", "no-such-package>=1; extra == 'host'", "pytest>=9; extra == 'host'"]
    monkeypatch.setattr(installation.metadata, "requires", lambda _: asked)
    assert installation.lacks("host") == ["no-such-package"]
