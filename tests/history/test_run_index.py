"""The index of a results folder is updated from its run.json files, and rebuilt where it is broken."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from suites.certified import SPARK, folder

from dgxcert.history import run_index, timeline


def test_the_index_is_updated_and_rebuilt_from_the_folders(tmp_path: Path) -> None:
    assert run_index.read(tmp_path).runs == ()
    run_folder = folder(tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "records.jsonl").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{", encoding="utf-8")
    known = run_index.read(tmp_path)
    assert [each.name for each in known.runs] == [run_folder.name]
    assert list(known.unreadable) == ["broken"]
    assert known.unfinished == ("half",)
    (tmp_path / run_index.NAME).unlink()
    assert run_index.read(tmp_path) == known
    for path in run_folder.glob("*.json*"):
        path.unlink()
    assert run_index.read(tmp_path).runs == ()


def test_a_read_only_results_folder_is_read_without_an_index(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / run_index.NAME).mkdir()
    assert len(run_index.read(tmp_path).runs) == 1


def test_a_changed_run_is_read_again(tmp_path: Path) -> None:
    run_folder = folder(tmp_path)
    assert run_index.read(tmp_path).runs[0].verdict == "CERTIFIED"
    text = (run_folder / "run.json").read_text(encoding="utf-8")
    (run_folder / "run.json").write_text(text.replace('"CERTIFIED"', '"REHEARSED"'), encoding="utf-8")
    assert run_index.read(tmp_path).runs[0].verdict == "REHEARSED"


def test_earlier_runs_are_those_of_the_same_gpus(tmp_path: Path) -> None:
    folder(tmp_path)
    known = run_index.read(tmp_path)
    assert len(known.of(timeline.known_as(SPARK))) == 1
    assert known.of("GPU-other") == ()


@pytest.mark.parametrize("moment", ["", "yesterday"])
def test_a_run_without_a_date_is_not_read_and_named(tmp_path: Path, moment: str) -> None:
    run_folder = folder(tmp_path)
    content = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    content["started"] = moment
    (run_folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    known = run_index.read(tmp_path)
    assert "started: " in known.unreadable[run_folder.name]


def test_an_invalid_line_of_the_index_is_read_again(tmp_path: Path) -> None:
    folder(tmp_path)
    before = run_index.read(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / run_index.NAME)) as index, index:
        index.execute("""UPDATE run SET line = '{"name": "another machine"}'""")
    assert run_index.read(tmp_path) == before
