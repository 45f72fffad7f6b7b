"""The index of a results folder is updated from its run.json files, and rebuilt where it is broken."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from suites.certified import SPARK, folder
from suites.certified import run as certified_run
from suites.example import finished

from dgxcert.history import index_file, run_index, timeline
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan.options import Options


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


def test_headline_figures_come_from_the_index_as_from_the_run(tmp_path: Path) -> None:
    folder(tmp_path)
    (listed,) = run_index.read(tmp_path).runs
    assert [(figure.name, figure.value, figure.unit) for figure in listed.figures] == [
        ("prefill-16bit", 15.0, "token/s"),
        ("decode-16bit", 14.0, "token/s"),
    ]
    assert run_index.read(tmp_path).runs == (listed,)


def test_a_figure_that_no_machine_has_is_left_out(tmp_path: Path) -> None:
    run_folder = folder(tmp_path)
    content = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    for result in content["results"]:
        for item in result["evidence"]:
            if item["name"] == "decode":
                item["value"] = -1.7e308
    (run_folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    (listed,) = run_index.read(tmp_path).runs
    assert [figure.name for figure in listed.figures] == ["prefill-16bit"]


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


def edited(results: Path, *statements: str) -> Path:
    """The index of a results folder after some SQL."""
    with contextlib.closing(sqlite3.connect(results / run_index.NAME)) as index, index:
        for statement in statements:
            index.execute(statement)
    return results / run_index.NAME


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE run SET line = replace(line, 'CERTIFIED', 'REJECTED')",
        "UPDATE run SET line = x'ff00'",
        "UPDATE run SET trouble = 'no run'",
        "UPDATE run SET sha256 = ''",
        "CREATE VIEW other AS SELECT * FROM run",
        "CREATE TRIGGER t BEFORE DELETE ON run BEGIN SELECT RAISE(ABORT, 'no'); END",
        "PRAGMA user_version = 99",
        "PRAGMA journal_mode = WAL",
        "DROP TABLE run",
    ],
)
def test_an_index_that_was_edited_says_nothing(tmp_path: Path, statement: str) -> None:
    folder(tmp_path)
    before = run_index.read(tmp_path)
    fresh = (tmp_path / run_index.NAME).read_bytes()
    edited(tmp_path, statement)
    assert run_index.read(tmp_path) == before
    assert (tmp_path / run_index.NAME).read_bytes() == fresh, "it is written again"


def test_an_index_that_came_with_a_copied_folder_is_not_believed(tmp_path: Path) -> None:
    run_folder = folder(tmp_path / "theirs")
    before = run_index.read(tmp_path / "theirs")
    rows, _ = index_file.read(tmp_path / "theirs" / run_index.NAME)
    forged = [row._replace(line=row.line.replace("CERTIFIED", "REJECTED")) for row in rows.values()]
    index_file.write(tmp_path / "theirs" / run_index.NAME, forged)
    shutil.copytree(tmp_path / "theirs", tmp_path / "mine")
    assert run_index.read(tmp_path / "mine") == before
    assert run_folder.is_dir()


def test_a_changed_run_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    path = folder(tmp_path) / "run.json"
    run_index.read(tmp_path)
    times = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace('"CERTIFIED"', '"REHEARSED"'), encoding="utf-8")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run_index.read(tmp_path).runs[0].verdict == "REHEARSED"


def foreign_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE run (folder, stamp, line, trouble)")
        database.execute("PRAGMA user_version = 3")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (foreign_database, "a database of another program"),
        (lambda path: path.write_text("notes of mine"), "it is not a database"),
        (os.mkfifo, "it is a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a link"),
        (lambda path: path.symlink_to("nowhere"), "it is a link, not a regular file"),
        (Path.mkdir, "it is a folder"),
    ],
)
def test_what_is_not_our_index_is_left_alone_and_named(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    folder(tmp_path)
    path = tmp_path / run_index.NAME
    make(path)
    before = path.lstat()
    for _ in range(2):
        known = run_index.read(tmp_path)
        assert len(known.runs) == 1
        assert reason in known.unreadable[run_index.NAME]
    after = path.lstat()
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)
    assert not (tmp_path / "nowhere").exists()


def test_an_index_of_an_earlier_version_is_replaced(tmp_path: Path) -> None:
    folder(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / run_index.NAME)) as index, index:
        index.execute(index_file.BEFORE.decode())
        index.execute("PRAGMA user_version = 3")
    assert run_index.read(tmp_path).unreadable == {}
    assert index_file.read(tmp_path / run_index.NAME)[0]


def test_where_nothing_is_new_nothing_is_written_and_no_journal_is_used(tmp_path: Path) -> None:
    folder(tmp_path)
    run_index.read(tmp_path)
    path = tmp_path / run_index.NAME
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    for suffix in ("-wal", "-journal", "-shm"):
        (tmp_path / f"{run_index.NAME}{suffix}").symlink_to(victim)
    before = path.stat()
    assert len(run_index.read(tmp_path).runs) == 1
    assert path.stat() == before
    shutil.copytree(tmp_path / "2026-11-23T18-40-12Z-spark-07", tmp_path / "another")
    assert len(run_index.read(tmp_path).runs) == 2
    assert victim.read_text() == "theirs"


def kept(
    results: Path, name: str, seconds: float, outcome: Outcome = Outcome.PASSED, runtime: Runtime = Runtime.DOCKER
) -> None:
    """A run in which GPU-PRESENT took so long."""
    ending = finished("GPU-PRESENT", outcome).model_copy(update={"duration_s": seconds})
    options = Options(profile="dgx-spark", runtime=runtime)
    (results / name).mkdir(parents=True)
    (results / name / "run.json").write_text(certified_run(ending, options=options).model_dump_json(), encoding="utf-8")


def test_durations_are_the_median_of_the_last_three_runs_of_the_same_kind(tmp_path: Path) -> None:
    for day, seconds in enumerate((90.0, 1.0, 3.0, 2.0), start=1):
        kept(tmp_path, f"2026-11-0{day}T10-00-00Z-spark-07", seconds)
    kept(tmp_path, "2026-11-05T10-00-00Z-spark-07", 70.0, runtime=Runtime.NATIVE)
    kept(tmp_path, "2026-11-06T10-00-00Z-spark-07", 60.0, Outcome.INCONCLUSIVE)
    (tmp_path / "2026-11-07T10-00-00Z-spark-07").mkdir()
    (tmp_path / "2026-11-07T10-00-00Z-spark-07" / "run.json").write_text("{}", encoding="utf-8")
    docker, native = (
        run_index.durations(tmp_path, SPARK, "dgx-spark", runtime) for runtime in (Runtime.DOCKER, Runtime.NATIVE)
    )
    assert (docker["GPU-PRESENT"], native["GPU-PRESENT"]) == (2.5, 70.0)
    other = SPARK.model_copy(update={"hostname": "spark-08"})
    assert run_index.durations(tmp_path, other, "dgx-spark", Runtime.DOCKER) == {}
    assert run_index.durations(tmp_path, SPARK, "cpu", Runtime.DOCKER) == {}
    assert run_index.durations(tmp_path / "none", SPARK, "cpu", Runtime.DOCKER) == {}
