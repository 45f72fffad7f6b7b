"""`dgxcert room merge` and `site-profile`: exit codes, files and refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from suites import merged_room as lab
from suites.commands import Result

from dgxcert.profiles import site
from dgxcert.record import run as runs
from dgxcert.record.room import document

Command = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, committed: None) -> Path:
    """A room of six Sparks, of which spark-03 decodes 9 % slower."""
    return lab.room(tmp_path_factory.mktemp("room"), 6, decode=lambda number: 12.74 if number == 3 else 14.0)


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(template, tmp_path / template.name))


def text(result: Result) -> str:
    """All that a command printed, on one line."""
    return " ".join((result.out + result.err).split())


def test_a_room_is_merged_in_place(folder: Path, dgxcert: Command) -> None:
    result = dgxcert("room", "merge", folder)
    assert result.code == 0
    assert "spark-03 decodes in bf16 9 % slower than the other 5" in text(result)
    assert document.load(folder).exit_code == 0
    assert (folder / "room.html").is_file()


def test_runs_of_any_folders_are_merged_where_out_says(folder: Path, tmp_path: Path, dgxcert: Command) -> None:
    (run,) = (folder / "spark-01").iterdir()
    (run / runs.NAME).write_text("{}")
    assert dgxcert("room", "merge", folder / "spark-00", run, "--out", tmp_path / "out").code == 2
    room = document.load(tmp_path / "out")
    assert [host.name for host in room.hosts] == ["spark-00", f"spark-01/{run.name}"]


@pytest.mark.parametrize("words", [("spark-00",), (".", ".")])
def test_runs_without_a_place_for_the_room_are_refused(folder: Path, words: tuple[str, ...], dgxcert: Command) -> None:
    result = dgxcert("room", "merge", *(folder / word for word in words))
    assert result.code == 3
    assert "--out" in result.err


def test_a_site_profile_is_made_of_the_good_machines(folder: Path, dgxcert: Command) -> None:
    assert dgxcert("room", "merge", folder).code == 0
    result = dgxcert("room", "site-profile", folder, "--write", folder / "site", "--who", "Ada Lovelace")
    assert not result.code, text(result)
    assert "1 limit tightened, from 5 machines, by Ada Lovelace" in text(result)
    assert "left out: spark-03: it is an outlier: spark-03 decodes in bf16 9 % slower" in text(result)
    tightened = site.apply(lab.SPARK, folder / "site")
    assert tightened.limit("decode.bf16.tuned.single").min > lab.SPARK.limit("decode.bf16.tuned.single").min
    again = dgxcert("room", "site-profile", folder, "--write", folder / "site")
    assert again.code == 3
    assert "already exists" in again.err


def test_a_site_profile_needs_three_good_machines(folder: Path, dgxcert: Command) -> None:
    for host in ("spark-00", "spark-01"):
        (run,) = (folder / host).iterdir()
        (run / runs.NAME).write_text("{}")
    (run,) = (folder / "spark-02").iterdir()
    (run / "benchmark.json").unlink()
    assert dgxcert("room", "merge", folder).code == 2
    (run,) = (folder / "spark-03").iterdir()
    (run / "benchmark.json").unlink()
    result = dgxcert("room", "site-profile", folder, "--write", folder / "site")
    assert result.code == 3
    assert "2 good machines of profile dgx-spark, and a site profile needs 3" in text(result)
    assert "benchmark.json is missing" in text(result)
    assert not (folder / "site").exists()
