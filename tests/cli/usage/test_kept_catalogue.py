"""The catalogue that `list` and `explain` show is kept, and collected again where anything of the suite has changed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dgxcert.cli.usage import kept_catalogue
from dgxcert.plan import suite


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: None) -> list[Any]:
    """What was collected, each time; the suite of a folder, and a cache of this test's own."""
    times: list[Any] = []
    collect = suite.collect

    def counted(where: Path, gpus: int) -> Any:
        times.append(where)
        return collect(suite.root(), gpus)

    for name in suite.FOLDERS:
        (tmp_path / "suite" / name).mkdir(parents=True)
    monkeypatch.setattr(suite, "collect", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return times


def test_it_is_collected_once(collected: list[Any], tmp_path: Path) -> None:
    first = kept_catalogue.read(tmp_path / "suite")
    assert kept_catalogue.read(tmp_path / "suite") == first
    assert len(collected) == 1


@pytest.mark.parametrize("change", ["added", "changed", "same size and time"])
def test_a_suite_that_has_changed_is_collected_again(change: str, collected: list[Any], tmp_path: Path) -> None:
    check = tmp_path / "suite" / "checks" / "test_one.py"
    check.write_text("x = 1\n", encoding="utf-8")
    kept_catalogue.read(tmp_path / "suite")
    before = check.stat()
    if change == "added":
        check.with_name("test_two.py").touch()
    else:
        check.write_text("x = 2\n" if change != "changed" else "x = 12\n", encoding="utf-8")
    if change == "same size and time":
        os.utime(check, ns=(before.st_atime_ns, before.st_mtime_ns))
    kept_catalogue.read(tmp_path / "suite")
    assert len(collected) == 2


@pytest.mark.parametrize("kept", ["", "[]", "{", json.dumps({"state": "another", "entries": []})])
def test_what_cannot_be_used_is_collected_again(kept: str, collected: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "cache" / "dgxcert" / "catalogue.json"
    path.parent.mkdir(parents=True)
    path.write_text(kept, encoding="utf-8")
    assert kept_catalogue.read(tmp_path / "suite")
    assert json.loads(path.read_text(encoding="utf-8"))["entries"]


def test_without_a_place_it_is_collected_each_time(
    collected: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert kept_catalogue.read(tmp_path / "suite") == kept_catalogue.read(tmp_path / "suite")
    assert len(collected) == 2
