"""The first missing part of a path is compared with what lies beside it; no file is opened."""

import os
from pathlib import Path

import pytest

from dgxcert.files import near_paths


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for run in ("2026-11-24T07-24-20Z-spark-07", "2026-11-25T09-00-00Z-spark-08"):
        (tmp_path / "results" / run).mkdir(parents=True)
        (tmp_path / "results" / run / "run.json").touch()
    (tmp_path / "results" / "waivers.yaml").touch()
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-24T07-24-20Z-spark-7/run.json", "2026-11-24T07-24-20Z-spark-07/run.json"),
        ("2026-11-25T09-00-00Z-spark", "2026-11-25T09-00-00Z-spark-08"),
        ("2026-11-25T09-00-00Z-SPARK-08", "2026-11-25T09-00-00Z-spark-08"),
        ("waiver.yml", "waivers.yaml"),
        ("../result/waivers.yaml", "../results/waivers.yaml"),
    ],
)
def test_a_near_path_that_exists_is_found(results: Path, typed: str, meant: str) -> None:
    assert near_paths.closest(results / typed)[0] == results / meant


@pytest.mark.parametrize("typed", ["nowhere", "waivers.yaml", "waivers.yaml/a", "a\0b", "2026-11-24/none.json"])
def test_what_exists_or_is_like_nothing_gets_no_suggestion(results: Path, typed: str) -> None:
    assert near_paths.closest(results / typed) == []


def test_a_folder_that_cannot_be_listed_gets_no_suggestion(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", scandir)
    assert near_paths.closest(results / "waiver.yaml") == []


def test_a_relative_path_stays_relative(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results)
    assert near_paths.closest(Path("waiver.yaml")) == [Path("waivers.yaml")]
