"""`validate` names what prevents a run; `ready` runs what its rows need and exits like its checklist."""

import sys
from pathlib import Path

import pytest
from rich.console import Console
from suites import driver, example
from suites.example import opened, planned

from dgxcert import cli
from dgxcert.plan import suite
from dgxcert.plan.options import Options
from dgxcert.profiles import prerequisites
from dgxcert.profiles.prerequisites import Row
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.runner import validation
from dgxcert.runner.closing import Ended


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bogus"], ["--bogus", "dgxcert -h"]),
        (["validate", "--bogus"], ["--bogus"]),
        (["bogus"], ["bogus"]),
        (["validate", "--tier", "huge"], ["huge", "quick", "standard"]),
        (["validate", "--only", ","], ["--only ',' names nothing", "dgxcert list"]),
        (["validate", "--only", " , "], ["names nothing"]),
        (["validate", "--profile", "dgx-sprak"], ["no profile 'dgx-sprak'", "dgx-spark"]),
        (["validate", "--profile", "nowhere.yaml"], ["nowhere.yaml", "cannot be read", "No such file"]),
        (["validate", "stray"], ["stray"]),
        (["validate", "--profile", "cpu", "--site", "nowhere.yaml"], ["nowhere.yaml cannot be read", "calibrate"]),
        (["validate", "--profile", "cpu", "--site", "."], ["cpu.yaml cannot be read", "calibrate"]),
        (["validate", "--resume", "./nowhere"], ["nowhere is not a run", "records.jsonl", "results/"]),
        (
            ["validate", "--resume", "nowhere", "--tier", "quick"],
            ["--resume continues a run with the options it began with", "--tier"],
        ),
        (["show", "./nowhere"], ["nowhere/run.json cannot be read", "`dgxcert history` lists"]),
        (["show", "nowhere"], ["There is no 'nowhere', and results holds no run"]),
        (["verify", "nowhere"], ["There is no 'nowhere', and results holds no run"]),
        (["show"], ["Missing"]),
    ],
)
def test_a_run_that_cannot_start_prints_one_line(dgxcert, arguments: list[str], words: list[str]) -> None:
    dgxcert(*arguments).require_refused(*words)


def test_a_profile_that_is_not_yaml_is_named(dgxcert, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("machine: [a, b\nlimits: {{{\n")
    dgxcert("validate", "--profile", "mine.yaml").require_refused("mine.yaml, line 2, column 7: this is not YAML")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- a list\n", b""])
def test_a_file_that_is_not_a_profile_is_named(dgxcert, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    dgxcert("validate", "--profile", "mine.yaml").require_refused("mine.yaml")


def test_an_unknown_requirement_gets_the_nearest_name(dgxcert) -> None:
    result = dgxcert("validate", "--profile", "cpu", "--only", "DECODE-SPED")
    result.require_refused("no requirement is called 'DECODE-SPED'", "did you mean 'DECODE-SPEED'")


def test_an_empty_selection_starts_no_run(dgxcert, tmp_path: Path) -> None:
    dgxcert("validate", "--profile", "cpu", "--only", "GPU-PRESENT").require_refused("Nothing is left to run")
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("own_suite")
@pytest.mark.parametrize("results", ["file", "file/below", "/proc/dgxcert"])
def test_a_results_folder_that_cannot_be_written_is_named(dgxcert, tmp_path: Path, results: str) -> None:
    (tmp_path / "file").write_text("")
    result = dgxcert("validate", "--profile", example.profile_file(tmp_path), "--results", results)
    result.require_refused(results, "--results")


@pytest.mark.parametrize("arguments", [("show",), ("validate", "--resume")])
def test_a_run_of_a_newer_version_is_refused_and_unchanged(dgxcert, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    opened = example.opened(example.planned("A"))
    (tmp_path / journal.NAME).write_text(
        opened.model_dump_json().replace(f'"format":{journal.FORMAT}', '"format":99') + "\n"
    )
    (tmp_path / runs.NAME).write_text('{"format": 99}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    dgxcert(*arguments, tmp_path).require_refused(str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ready_runs_what_its_rows_need_and_exits_like_its_checklist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "calm")
    rows = (
        Row(sentence="The first holds", proof="it holds", proved_by=("FIRST",), review="Lesson: one", snippet="one"),
    )
    monkeypatch.setattr(prerequisites, "load", lambda: rows)
    options = ["--profile", str(example.profile_file(tmp_path)), "--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["dgxcert", "ready", *options, "--runtime", "native"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    run = runs.load(driver.only_run(tmp_path / "results"))
    assert [result.key for result in run.results if result.wanted] == ["FIRST"]
    assert "✔ The first holds            checked: it holds" in capsys.readouterr().out


def test_ready_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    passed_on: list[Options] = []

    def validate(options: Options, results: Path, console: Console) -> Ended:
        passed_on.append(options)
        return Ended(runs.assemble([opened(planned("A"))], "run"), results)

    monkeypatch.setattr(validation, "validate", validate)
    words = ["ready", "--profile", "h200", "--runtime", "docker", "--stack", "current", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["dgxcert", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (options,) = passed_on
    assert (options.profile, options.runtime.value, options.stack) == ("h200", "docker", "current")
    assert options.only == prerequisites.names(prerequisites.load())
    assert not options.whole


def test_how_much_is_shown_may_be_chosen_when_a_run_is_continued(dgxcert, tmp_path: Path) -> None:
    dgxcert("validate", "--resume", "./nowhere", "-v").require_refused("nowhere is not a run")
