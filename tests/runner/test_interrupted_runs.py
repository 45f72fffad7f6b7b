"""Interrupted runs: a run that went down with the machine is recognised when the next one starts, by name."""

from pathlib import Path

import pytest
from suites import example

from dgxcert.machine.identity import Machine
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.runner import interrupted_runs

THEN = example.MACHINE.model_copy(update={"boot_id": "before"})
NOW = example.MACHINE.model_copy(update={"boot_id": "after"})


@pytest.fixture
def leave(tmp_path: Path) -> Path:
    """A results folder with one run that ends in the middle of TRAINING-REPEATS."""
    folder = tmp_path / "2026-11-23T18-40-12Z-spark-07"
    (folder / "logs").mkdir(parents=True)
    opened = example.opened(example.planned("GPU-PRESENT"), example.planned("TRAINING-REPEATS"), machine=THEN)
    writer = journal.Writer(folder)
    for event in (opened, example.started("GPU-PRESENT"), example.finished("GPU-PRESENT")):
        writer.append(event)
    writer.append(example.started("TRAINING-REPEATS"))
    writer.close()
    return folder


def test_a_run_that_took_the_machine_down_is_closed_and_named(leave: Path) -> None:
    (words,) = interrupted_runs.close_fallen(leave.parent, NOW)
    assert f"run {leave.name} was measuring TRAINING-REPEATS (started" in words
    assert "had not ended when this machine was restarted" in words
    run = runs.load(leave)
    (lost,) = (result for result in run.results if result.key == "TRAINING-REPEATS")
    assert lost.outcome.value == "inconclusive"
    assert "the machine was restarted while TRAINING-REPEATS was being measured" in lost.reason
    assert interrupted_runs.close_fallen(leave.parent, NOW) == (), "it is told once"


@pytest.mark.parametrize(
    "now",
    [
        THEN,
        NOW.model_copy(update={"hostname": "spark-08"}),
        NOW.model_copy(update={"serial": "another"}),
        NOW.model_copy(update={"boot_id": None}),
    ],
    ids=["same boot", "another host", "another machine", "boot unknown"],
)
def test_what_did_not_go_down_with_this_machine_is_left_alone(leave: Path, now: Machine) -> None:
    before = (leave / journal.NAME).read_bytes()
    assert interrupted_runs.close_fallen(leave.parent, now) == ()
    assert (leave / journal.NAME).read_bytes() == before


def test_a_run_that_went_on_since_the_restart_did_not_go_down_with_it(leave: Path) -> None:
    writer = journal.Writer(leave)
    writer.append(journal.Resumed(rebooted=True, boot_id="after"))
    writer.append(example.started("TRAINING-REPEATS"))
    writer.close()
    assert interrupted_runs.close_fallen(leave.parent, NOW) == ()
    later = NOW.model_copy(update={"boot_id": "third"})
    assert len(interrupted_runs.close_fallen(leave.parent, later)) == 1


def test_a_run_that_is_being_worked_on_or_cannot_be_read_is_left_alone(leave: Path) -> None:
    (leave.parent / "torn").mkdir()
    (leave.parent / "torn" / journal.NAME).write_text("no record\n", encoding="utf-8")
    writer = journal.Writer(leave)
    writer.claim()
    assert interrupted_runs.close_fallen(leave.parent, NOW) == ()
    writer.close()


def test_a_fallen_run_that_cannot_be_shown_keeps_no_new_one_from_beginning(leave: Path) -> None:
    (leave / "logs" / "benchmark-001.json").write_text("torn", encoding="utf-8")
    assert len(interrupted_runs.close_fallen(leave.parent, NOW)) == 1
    assert journal.read(leave)[-1].event == "finished"


def test_a_folder_without_runs_has_no_predecessors(tmp_path: Path) -> None:
    assert interrupted_runs.close_fallen(tmp_path / "none", NOW) == ()


def test_the_next_run_says_so_in_its_notes() -> None:
    opened = example.opened(example.planned("A"), fallen=("run X was measuring A when this machine went down",))
    run = runs.assemble([opened, example.finished("A")], "next")
    assert "run X was measuring A when this machine went down" in run.notes
