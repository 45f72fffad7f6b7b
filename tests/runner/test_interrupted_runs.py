"""Interrupted runs: the next run closes and names a run that was in progress when the machine went down."""

from pathlib import Path

import pytest
from suites import example

from dgxcert.machine.identity import Machine
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.runner import interrupted_runs

BEFORE = example.MACHINE.model_copy(update={"boot_id": "before"})
AFTER = example.MACHINE.model_copy(update={"boot_id": "after"})


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A results folder with one run that ends in the middle of TRAINING-REPEATS."""
    folder = tmp_path / "2026-11-23T18-40-12Z-spark-07"
    (folder / "logs").mkdir(parents=True)
    opened = example.opened(example.planned("GPU-PRESENT"), example.planned("TRAINING-REPEATS"), machine=BEFORE)
    writer = journal.Writer(folder)
    for event in (opened, example.started("GPU-PRESENT"), example.finished("GPU-PRESENT")):
        writer.append(event)
    writer.append(example.started("TRAINING-REPEATS"))
    writer.close()
    return folder


def test_a_run_that_took_the_machine_down_is_closed_and_named(interrupted: Path) -> None:
    (note,) = interrupted_runs.close_interrupted(interrupted.parent, AFTER)
    assert f"run {interrupted.name} was measuring TRAINING-REPEATS (started" in note
    assert "had not ended when this machine was restarted" in note
    run = runs.load(interrupted)
    (lost,) = (result for result in run.results if result.key == "TRAINING-REPEATS")
    assert lost.outcome.value == "inconclusive"
    assert "the machine was restarted while TRAINING-REPEATS was being measured" in lost.reason
    assert interrupted_runs.close_interrupted(interrupted.parent, AFTER) == (), "it is reported once"


@pytest.mark.parametrize(
    "machine",
    [
        BEFORE,
        AFTER.model_copy(update={"hostname": "spark-08"}),
        AFTER.model_copy(update={"serial": "another"}),
        AFTER.model_copy(update={"boot_id": None}),
    ],
    ids=["same boot", "another host", "another machine", "boot unknown"],
)
def test_a_run_that_did_not_go_down_with_this_machine_is_left_alone(interrupted: Path, machine: Machine) -> None:
    before = (interrupted / journal.NAME).read_bytes()
    assert interrupted_runs.close_interrupted(interrupted.parent, machine) == ()
    assert (interrupted / journal.NAME).read_bytes() == before


def test_a_run_that_was_resumed_after_the_restart_is_left_alone(interrupted: Path) -> None:
    writer = journal.Writer(interrupted)
    writer.append(journal.Resumed(rebooted=True, boot_id="after"))
    writer.append(example.started("TRAINING-REPEATS"))
    writer.close()
    assert interrupted_runs.close_interrupted(interrupted.parent, AFTER) == ()
    later = AFTER.model_copy(update={"boot_id": "third"})
    assert len(interrupted_runs.close_interrupted(interrupted.parent, later)) == 1


def test_a_run_in_progress_and_an_unreadable_record_are_left_alone(interrupted: Path) -> None:
    (interrupted.parent / "torn").mkdir()
    (interrupted.parent / "torn" / journal.NAME).write_text("no record\n", encoding="utf-8")
    writer = journal.Writer(interrupted)
    writer.claim()
    assert interrupted_runs.close_interrupted(interrupted.parent, AFTER) == ()
    writer.close()


def test_a_closed_run_whose_reports_cannot_be_written_does_not_prevent_a_new_run(interrupted: Path) -> None:
    (interrupted / "inside").mkdir()
    (interrupted / "inside" / "benchmark-001.json").write_text("torn", encoding="utf-8")
    assert len(interrupted_runs.close_interrupted(interrupted.parent, AFTER)) == 1
    assert journal.read(interrupted)[-1].event == "finished"


def test_a_missing_results_folder_has_no_interrupted_runs(tmp_path: Path) -> None:
    assert interrupted_runs.close_interrupted(tmp_path / "none", AFTER) == ()


def test_the_next_run_names_it_in_its_notes() -> None:
    opened = example.opened(example.planned("A"), fallen=("run X was measuring A when this machine went down",))
    run = runs.assemble([opened, example.finished("A")], "next")
    assert "run X was measuring A when this machine went down" in run.notes
