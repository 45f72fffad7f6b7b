"""The command: what keeps it from starting is one clear line and exit 3, and only a verdict exits like one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from suites import driver, example

from dgxcert import cli, command
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan import suite
from dgxcert.plan.selection import any_gpu
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.runner import validation


class Ended:
    """What a command left: its exit code and what it printed."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def refused(self, *words: str) -> None:
        """It could not start, and said why in one line."""
        assert (self.code, self.out) == (3, "")
        assert re.fullmatch(r"dgxcert: [^\n]+\n", self.err), self.err
        assert [word for word in words if word not in self.err] == [], self.err


@pytest.fixture
def dgxcert(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run the command in this process, in an empty folder."""

    def run(*arguments: object) -> Ended:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dgxcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def own_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite of the real machine is not what is asked about."""
    monkeypatch.setattr(suite, "root", lambda: driver.SUITES / "calm")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bogus"], ["--bogus", "dgxcert --help"]),
        (["validate", "--bogus"], ["--bogus"]),
        (["bogus"], ["bogus"]),
        (["validate", "--tier", "huge"], ["huge", "quick", "standard"]),
        (["validate", "--only", ","], ["--only ',' names nothing", "dgxcert list"]),
        (["validate", "--only", " , "], ["names nothing"]),
        (["validate", "--profile", "dgx-sprak"], ["no profile 'dgx-sprak'", "dgx-spark"]),
        (["validate", "--profile", "nowhere.yaml"], ["nowhere.yaml", "cannot be read", "No such file"]),
        (["validate", "stray"], ["stray"]),
        (["validate", "--resume", "nowhere"], ["nowhere is not a run", "records.jsonl", "results/"]),
        (
            ["validate", "--resume", "nowhere", "--tier", "quick"],
            ["--resume continues a run with the options it began with", "--tier"],
        ),
        (["show", "nowhere"], ["nowhere/run.json cannot be read", "--resume nowhere"]),
        (["show"], ["Missing"]),
    ],
)
def test_what_cannot_start_is_one_clear_line(dgxcert, arguments: list[str], words: list[str]) -> None:
    dgxcert(*arguments).refused(*words)


def test_a_profile_that_is_no_yaml_is_named(dgxcert, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("machine: [a, b\nlimits: {{{\n")
    dgxcert("validate", "--profile", "mine.yaml").refused("mine.yaml is not YAML", "line 2")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"- a list\n", b""])
def test_a_profile_that_is_no_profile_is_named(dgxcert, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    dgxcert("validate", "--profile", "mine.yaml").refused("mine.yaml")


def test_an_unknown_requirement_is_answered_with_the_nearest_right_word(dgxcert) -> None:
    asked = dgxcert("validate", "--profile", "cpu", "--only", "DECODE-SPED")
    asked.refused("no requirement is called 'DECODE-SPED'", "did you mean 'DECODE-SPEED'")


def test_a_selection_that_leaves_nothing_to_run_is_no_run(dgxcert, tmp_path: Path) -> None:
    dgxcert("validate", "--profile", "cpu", "--only", "GPU-PRESENT").refused("Nothing is left to run")
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("own_suite")
@pytest.mark.parametrize("results", ["file", "file/below", "/proc/dgxcert"])
def test_a_results_folder_that_takes_nothing_is_named(dgxcert, tmp_path: Path, results: str) -> None:
    (tmp_path / "file").write_text("")
    asked = dgxcert("validate", "--profile", example.profile_file(tmp_path), "--results", results)
    asked.refused(results, "--results")


@pytest.mark.parametrize("arguments", [("show",), ("validate", "--resume")])
def test_a_run_by_a_newer_version_is_refused_and_left_alone(
    dgxcert, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    opened = example.opened(example.planned("A"))
    (tmp_path / journal.NAME).write_text(
        opened.model_dump_json().replace(f'"format":{journal.FORMAT}', '"format":99') + "\n"
    )
    (tmp_path / runs.NAME).write_text('{"format": 99}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    dgxcert(*arguments, tmp_path).refused(str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.PASSED, 0), (Outcome.FAILED, 1), (Outcome.INCONCLUSIVE, 2)])
def test_showing_a_run_exits_like_the_run(dgxcert, tmp_path: Path, outcome: Outcome, code: int) -> None:
    run = runs.assemble([example.opened(example.planned("A")), example.finished("A", outcome)], "run")
    (tmp_path / runs.NAME).write_text(run.model_dump_json())
    shown = dgxcert("show", tmp_path)
    assert (shown.code, shown.err) == (code, "")
    assert run.judgement.verdict.value in shown.out


def raising(error: BaseException):
    def stop(*_: object) -> None:
        raise error

    return stop


def test_a_bug_of_ours_never_exits_like_a_verdict(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(ZeroDivisionError("a bug")))
    ended = dgxcert("validate", "--profile", "cpu")
    assert ended.code == 3
    assert "ZeroDivisionError: a bug" in ended.err


def test_ctrl_c_outside_of_measuring_is_one_line_too(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(KeyboardInterrupt()))
    dgxcert("validate", "--profile", "cpu").refused("interrupted")


def test_brackets_in_a_complaint_are_no_markup(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(CannotStart("DECODE-SPEED[red] is gone.", "[bold]Look.")))
    dgxcert("validate").refused("DECODE-SPEED[red] is gone. [bold]Look.")


def test_the_installed_command_ends_with_exit_3_and_one_line() -> None:
    asked = command.run([sys.executable, "-m", "dgxcert", "show", "/nowhere"], timeout_s=30)
    Ended(asked.returncode, asked.stdout, asked.stderr).refused("/nowhere/run.json cannot be read")


@pytest.mark.parametrize("lost", ["closed pipe", "full disk"])
def test_output_that_nobody_takes_costs_neither_the_run_nor_its_verdict(tmp_path: Path, lost: str) -> None:
    options = ["--profile", example.profile_file(tmp_path), "--results", tmp_path / "results", "--only", "FIRST"]
    asked = [sys.executable, driver.__file__, driver.SUITES / "calm", "validate", *options]
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(asked, stdout=full if lost == "full disk" else subprocess.PIPE)
        if process.stdout is not None:
            process.stdout.close()
        assert process.wait(timeout=120) == 0
    assert runs.load(driver.only_run(tmp_path / "results")).judgement.counts["passed"] == 1


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing torch, or what stands on it, raises."""
    for name in ("torch", "transformers", "datasets", "peft"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemError('{name} was imported')")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


@pytest.fixture(scope="module")
def requirements() -> list[str]:
    return [any_gpu(entry.key) for entry in suite.collect(suite.root(), gpus=1)]


def test_listing_shows_every_requirement_and_imports_no_torch(
    without_torch: dict[str, str], requirements: list[str]
) -> None:
    listed = command.run([sys.executable, "-m", "dgxcert", "list"], timeout_s=30, env=without_torch)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.findall(r"^\w+ +(\S+) +(?:quick|standard|burn-in) ", listed.stdout, re.MULTILINE) == requirements


def test_collecting_shows_every_test_and_imports_no_torch(
    without_torch: dict[str, str], requirements: list[str]
) -> None:
    collect = [sys.executable, "-m", "pytest", "checks", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider"]
    collected = command.run(collect, timeout_s=30, env=without_torch, cwd=ROOT)
    assert collected.returncode == 0, collected.stdout
    assert collected.stdout.count("::") == len(requirements)
