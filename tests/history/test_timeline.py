"""A step in speed is found, named with what changed just then, and a single stray run is none."""

import contextlib
import json
import random
import sqlite3
from pathlib import Path

import pytest
from suites.certified import KEYS, SPARK, folder, past, run, speed
from suites.example import finished
from typer.testing import CliRunner

from dgxcert.cli import app
from dgxcert.history import run_index, timeline
from dgxcert.outcome import Outcome
from dgxcert.record.history_line import Earlier

DECODE = KEYS[2]


def runs(*rates: float, changed_at: int | None = None) -> list[Earlier]:
    made = past(len(rates))
    return [
        each.model_copy(
            update={
                "rates": {DECODE: rate},
                "state": each.state | {"driver": "590" if changed_at is not None and at >= changed_at else "580"},
            }
        )
        for at, (each, rate) in enumerate(zip(made, rates, strict=True))
    ]


def test_a_step_is_named_with_what_changed() -> None:
    found = runs(14.0, 14.1, 13.95, 14.05, 12.6, 12.5, 12.6, changed_at=4)
    (step,) = timeline.steps(found, DECODE)
    assert step.run == found[4].name
    assert step.more == pytest.approx(-0.1, abs=0.01)
    assert step.changed == {"driver": ("580", "590")}
    assert step.description.startswith(f"{DECODE} is 10.")
    assert step.description.endswith("slower since 2026-01-05T10-00-00Z-spark-07; driver 580 → 590")


def test_a_step_without_a_change_says_that_nothing_else_is_known_to_have_changed() -> None:
    (step,) = timeline.steps(runs(14.0, 14.1, 13.95, 12.6, 12.5), DECODE)
    assert "nothing else that a run records changed" in step.description


def test_a_step_in_the_latest_run_is_one() -> None:
    assert len(timeline.steps(runs(14.0, 14.1, 13.95, 12.0), DECODE)) == 1


def test_a_single_stray_run_is_none() -> None:
    assert timeline.steps(runs(14.0, 14.1, 13.95, 12.0, 14.02, 14.0), DECODE) == []


def test_slower_and_back_are_two_steps() -> None:
    steps = timeline.steps(runs(14.0, 14.1, 13.95, 12.0, 12.1, 14.02, 14.0), DECODE)
    assert [step.more > 0 for step in steps] == [False, True]


def test_machines_that_scatter_make_no_steps() -> None:
    chance = random.Random(3)
    alarms = sum(
        len(timeline.steps(runs(*(14.0 * chance.gauss(1, 0.02) for _ in range(20))), DECODE)) for _ in range(200)
    )
    assert alarms < 60, "3 in 200 runs of each, since both of two must lie beyond"


def test_what_was_not_believed_is_in_no_history() -> None:
    assert DECODE in timeline.of(run()).rates
    unseen = run(finished(DECODE, Outcome.INCONCLUSIVE, reason="too noisy", evidence=run().results[2].evidence))
    assert DECODE not in timeline.of(unseen).rates


def test_the_index_is_brought_up_to_date_and_rebuilt_from_the_folders(tmp_path: Path) -> None:
    assert run_index.read(tmp_path).runs == ()
    made = folder(tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "records.jsonl").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{", encoding="utf-8")
    known = run_index.read(tmp_path)
    assert [each.name for each in known.runs] == [made.name]
    assert list(known.unreadable) == ["broken"]
    assert known.unfinished == ("half",)
    (tmp_path / run_index.NAME).write_bytes(b"no database at all" * 1000)
    assert run_index.read(tmp_path) == known
    for path in made.glob("*.json*"):
        path.unlink()
    assert run_index.read(tmp_path).runs == ()


def test_a_results_folder_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / run_index.NAME).mkdir()
    assert len(run_index.read(tmp_path).runs) == 1


def test_a_changed_run_is_read_again(tmp_path: Path) -> None:
    made = folder(tmp_path)
    assert run_index.read(tmp_path).runs[0].verdict == "CERTIFIED"
    text = (made / "run.json").read_text(encoding="utf-8")
    (made / "run.json").write_text(text.replace('"CERTIFIED"', '"REHEARSED"'), encoding="utf-8")
    assert run_index.read(tmp_path).runs[0].verdict == "REHEARSED"


def test_earlier_runs_are_those_of_the_same_gpus(tmp_path: Path) -> None:
    folder(tmp_path)
    assert len(run_index.earlier(tmp_path, timeline.known_as(SPARK))) == 1
    assert run_index.earlier(tmp_path, "GPU-other") == ()


def test_the_command_lists_runs_and_shows_each_benchmark(tmp_path: Path) -> None:
    folder(tmp_path)
    call = CliRunner().invoke
    listed = call(app, ["history", "--results", str(tmp_path)])
    assert listed.exit_code == 0
    assert "2026-11-23 18:40  spark-07  CERTIFIED" in listed.output
    shown = call(app, ["history", "spark-07", "--results", str(tmp_path)])
    assert DECODE in shown.output
    assert "14 token/s" in shown.output
    assert "1 run of 1 machine" in shown.output


def test_a_machine_that_nobody_knows_is_named_with_those_that_are(tmp_path: Path) -> None:
    folder(tmp_path)
    done = CliRunner().invoke(app, ["history", "spark-99", "--results", str(tmp_path)])
    assert done.exit_code != 0
    assert "spark-07" in str(done.exception)


def test_a_speed_of_zero_is_no_part_of_a_history() -> None:
    stuck = run(finished(KEYS[2], evidence=(speed(KEYS[2], 14.0).model_copy(update={"value": 0.0}),)))
    assert KEYS[2] not in timeline.of(stuck).rates


@pytest.mark.parametrize("moment", ["", "yesterday"])
def test_a_run_without_a_date_is_not_read_and_named(tmp_path: Path, moment: str) -> None:
    made = folder(tmp_path)
    content = json.loads((made / "run.json").read_text(encoding="utf-8"))
    content["started"] = moment
    (made / "run.json").write_text(json.dumps(content), encoding="utf-8")
    known = run_index.read(tmp_path)
    assert "started: " in known.unreadable[made.name]


def test_a_line_of_the_index_that_is_none_is_read_again(tmp_path: Path) -> None:
    folder(tmp_path)
    before = run_index.read(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / run_index.NAME)) as index, index:
        index.execute("""UPDATE run SET line = '{"name": "somebody else"}'""")
    assert run_index.read(tmp_path) == before
