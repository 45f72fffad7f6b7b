"""A run is found by path, folder name, id or `latest`; what is unknown or ambiguous is named with its candidates."""

import shutil
from pathlib import Path

import pytest
from suites import certified, example

from dgxcert.history import run_names
from dgxcert.outcome import CannotStart
from dgxcert.record import journal
from dgxcert.record import run as runs

NAME = "2026-11-23T18-40-12Z-spark-07"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with one run of the Spark, beside the folder that the user is in."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    certified.folder(tmp_path / "results")
    return tmp_path / "results"


def unfinished(results: Path, name: str, at: str) -> str:
    """A run that was cut off; returns its id."""
    opened = example.opened(example.planned("A")).model_copy(update={"at": at})
    (results / name).mkdir()
    (results / name / journal.NAME).write_text(example.record(opened))
    return runs.short_id(at, opened.machine)


def test_a_run_is_called_by_its_folder_its_id_and_latest(results: Path) -> None:
    run_id = runs.load(results / NAME).id
    for name in (NAME, run_id, run_id[:4], run_id.upper(), "latest"):
        assert run_names.resolve(name, results) == results / NAME


def test_a_path_is_taken_as_it_is(results: Path) -> None:
    assert run_names.resolve("results/nowhere", results) == Path("results/nowhere")
    Path("latest").mkdir()
    assert run_names.resolve("latest", results) == Path("latest"), "what is there goes before what is meant"


def test_the_latest_run_is_the_one_that_began_last_whether_it_ended_or_not(results: Path) -> None:
    run_id = unfinished(results, "aaa-cut", "2026-11-24T06:00:00.000Z")
    assert run_names.resolve("latest", results) == results / "aaa-cut"
    assert run_names.resolve(run_id, results) == results / "aaa-cut"


def test_a_copy_a_redacted_and_a_resumed_run_keep_their_id(results: Path) -> None:
    run_id = runs.load(results / NAME).id
    shutil.copytree(results / NAME, results / "copy of it")
    assert runs.load(results / "copy of it").id == run_id
    run = runs.load(results / NAME)
    hidden = run.model_copy(update={"machine": run.machine.model_copy(update={"hostname": "[host]"})})
    assert hidden.id == run_id


def test_no_folder_takes_over_the_id_of_another_run(results: Path) -> None:
    run_id = runs.load(results / NAME).id
    for name in (run_id, run_id[:4], run_id[:5].upper()):
        (results / name).mkdir()
        with pytest.raises(CannotStart, match=rf"{name} is a folder, and the id of {run_id} \({NAME}\) begins so"):
            run_names.resolve(name, results)
        assert run_names.resolve(results / name, results) == results / name
    (results / NAME).rename(results / run_id[:6])
    assert run_names.resolve(run_id[:6], results) == results / run_id[:6], "it is its own"


def test_a_run_of_the_future_is_not_the_latest(results: Path) -> None:
    unfinished(results, "planted", "2999-01-01T00:00:00.000Z")
    with pytest.raises(CannotStart, match=r"planted, which began in the future: 2999-01-01"):
        run_names.resolve("latest", results)


def test_two_runs_of_one_id_are_both_named(results: Path) -> None:
    run_id = runs.load(results / NAME).id
    shutil.copytree(results / NAME, results / "copy")
    with pytest.raises(
        CannotStart, match=rf"'{run_id}' begins the id of 2 runs: {run_id} \({NAME}\), {run_id} \(copy\)\. Type more"
    ):
        run_names.resolve(run_id, results)
    assert run_names.resolve("copy", results) == results / "copy"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ltest", r"did you mean 'latest'\? `dgxcert history`"),
        (NAME.replace("18-40", "18-41"), f"did you mean '{NAME}'"),
        ("zzz", rf"the last ones: [0-9a-f]{{8}} \({NAME}\)"),
        ("0", "an id needs 4 digits; the last ones: "),
        ("\x1b[2Jx", r"'\\\\x1b\[2Jx'"),
    ],
)
def test_what_is_no_run_is_named_with_what_is_one(results: Path, typed: str, said: str) -> None:
    with pytest.raises(CannotStart, match=said) as refused:
        run_names.resolve(typed, results)
    assert "\n" not in str(refused.value)


def test_fewer_than_four_digits_are_no_id(results: Path) -> None:
    with pytest.raises(CannotStart, match="no run in"):
        run_names.resolve(runs.load(results / NAME).id[:3], results)


def test_an_empty_results_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("latest", "3f2a"):
        with pytest.raises(CannotStart, match="holds no run"):
            run_names.resolve(name, tmp_path / "results")


def test_a_certificate_is_called_by_its_run(results: Path) -> None:
    with pytest.raises(CannotStart, match=f"{NAME} is not signed. Sign it: dgxcert sign"):
        run_names.resolve_file("latest", results)
    (results / NAME / "certificate.json").touch()
    assert run_names.resolve_file("latest", results) == results / NAME / "certificate.json"
    assert run_names.resolve_file("./certificate.json", results) == Path("certificate.json")
