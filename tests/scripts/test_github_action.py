"""The action: its steps, run in bash as by a runner, really validate, tell the verdict, and take no input for code."""

import doctest
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from paths import ROOT
from suites import driver, example, report_runs

from dgxcert.record import run as runs

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
UPLOAD = "actions/upload-artifact@"
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
"""How a runner starts a step with `shell: bash`."""


@dataclass
class Runner:
    """A runner of one composite action: it fills in expressions, runs the scripts and reads what they write."""

    folder: Path
    inputs: dict[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    summary: str = ""
    printed: str = ""
    uploaded: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    exit_codes: list[int] = field(default_factory=list)

    def run(self, started: Callable[["subprocess.Popen[str]"], None] = lambda process: None) -> "Runner":
        """Run every step in order. After one has failed, only those that say `always()`."""
        for step in STEPS:
            condition = step.get("if", "")
            if self.failed and "always()" not in condition:
                continue
            if "steps.validate.outputs.run != ''" in condition and not self.outputs["validate"].get("run"):
                continue
            if "uses" in step:
                given = {name: self._filled(str(value)) for name, value in step["with"].items()}
                self.uploaded[given["name"]] = given["path"]
            else:
                self._script(step, started)
        return self

    def _script(self, step: dict[str, Any], started: Callable[["subprocess.Popen[str]"], None]) -> None:
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        script = self.folder / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith("DGXCERT")}
        env |= {name: self._filled(value) for name, value in step["env"].items()}
        env |= {"GITHUB_ACTION_PATH": str(ROOT), **{name: str(file) for name, file in files.items()}}
        process = subprocess.Popen(
            [*BASH, str(script)], env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started(process)
        self.printed += process.communicate(timeout=driver.ENDS_S)[0]
        self.exit_codes.append(process.returncode)
        self.failed |= process.returncode != 0
        lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
        self.outputs[step.get("id", "")] = dict(line.split("=", 1) for line in lines)
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")

    def _filled(self, text: str) -> str:
        """The text with each expression replaced by its value, as GitHub does before it runs anything."""
        return re.sub(r"\$\{\{ *(.+?) *\}\}", lambda match: self._value(match[1]), text)

    def _value(self, expression: str) -> str:
        for word in expression.split(" || "):
            context, _, name = word.partition(".")
            known = {"inputs": self.inputs, "runner": {"name": "spark-01"}, "github": {"run_attempt": "2"}}
            if context == "steps":
                step, _, name = name.partition(".outputs.")
                found = self.outputs.get(step, {}).get(name, "")
            else:
                found = known[context][name]
            if found:
                return found
        return ""


def given(**inputs: str) -> dict[str, str]:
    """The inputs of the action: those that are named, and the defaults of the rest."""
    defaults = {name: str(about["default"]) for name, about in ACTION["inputs"].items()}
    assert inputs.keys() <= defaults.keys()
    return defaults | inputs


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("github_action")


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Runner]:
    """Prepares a runner whose environment has a real dgxcert for a small suite of tests/suites."""

    def prepare(suite: str, asks: str = "", **inputs: str) -> Runner:
        environment = tmp_path / "environment"
        (environment / "bin").mkdir(parents=True)
        command = environment / "bin" / "dgxcert"
        line = shlex.join([sys.executable, driver.__file__, str(driver.SUITES / suite)])
        private = f"export TMPDIR={shlex.quote(str(tmp_path))} DGXCERT_TEST_ASKS={shlex.quote(asks)}"
        command.write_text(f'#!/bin/sh\n{private}\nexec {line} "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        about = {
            "profile": str(example.profile_file(tmp_path)),
            "runtime": "native",
            "stack": "",
            "python": sys.executable,
            "results": str(tmp_path / "results"),
            "environment": str(environment),
        }
        return Runner(tmp_path, given(**about | inputs))

    return prepare


def test_a_run_in_which_all_passed_is_told_and_kept(prepared: Callable[..., Runner], tmp_path: Path) -> None:
    runner = prepared("calm", name="spark-07").run()
    folder = driver.only_run(tmp_path / "results")
    assert runner.outputs["validate"] == {"verdict": "REHEARSED", "run": str(folder), "exit-code": "0"}, runner.printed
    assert runner.uploaded == {"run-spark-07-2": str(folder), "junit-spark-07-2": f"{folder}/junit.xml"}
    assert runner.summary == (folder / "summary.md").read_text(encoding="utf-8")
    assert "::error" not in runner.printed
    assert "::notice title=dgxcert::REHEARSED" in runner.printed
    assert not runner.failed


def test_what_failed_is_an_error_with_what_was_found(prepared: Callable[..., Runner]) -> None:
    runner = prepared("calm", asks="fail", only="FIRST").run()
    assert runner.outputs["validate"]["verdict"] == "REJECTED"
    assert runner.exit_codes == [0, 1]
    assert re.findall(r"^::error title=FIRST::.*as requested", runner.printed, re.MULTILINE)


def test_what_could_not_be_measured_fails_the_job_after_all_is_kept(
    prepared: Callable[..., Runner], tmp_path: Path
) -> None:
    runner = prepared("faults", only="BEFORE-ALL,CRASHES").run()
    folder = driver.only_run(tmp_path / "results")
    assert runner.outputs["validate"] == {"verdict": "INCONCLUSIVE", "run": str(folder), "exit-code": "2"}
    assert runner.exit_codes == [0, 2]
    assert set(runner.uploaded) == {"run-spark-01-2", "junit-spark-01-2"}
    (line,) = re.findall(r"^::warning .*$", runner.printed, re.MULTILINE)
    assert line.startswith("::warning title=CRASHES::")
    assert "INCONCLUSIVE" in runner.summary


def test_earlier_runs_stay_and_none_of_them_is_taken_for_this_one(
    prepared: Callable[..., Runner], tmp_path: Path
) -> None:
    (tmp_path / "results" / "2026-01-01T00-00-00Z-spark").mkdir(parents=True)
    runner = prepared("calm", only="NO-SUCH").run()
    assert runner.outputs["validate"] == {"verdict": "", "run": "", "exit-code": "3"}
    assert runner.exit_codes == [0, 3]
    assert not runner.uploaded
    assert "::error title=dgxcert::The run could not start" in runner.printed
    assert "exit code 3" in runner.summary


def test_a_run_that_another_machine_wrote_meanwhile_is_not_taken_for_this_one(
    program: ModuleType, tmp_path: Path
) -> None:
    def written(name: str, verdict: str, code: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        run = {"judgement": {"verdict": verdict, "exit_code": code}, "results": []}
        (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
        return folder

    ours, other = written("2026-a", "REJECTED", 1), written("2026-b", "CERTIFIED", 0)
    assert program.own_run([ours, other], 1)[0] == ours
    assert program.own_run([other], 1) == (other, {}), "its verdict is not what the command has answered"
    assert program.own_run([ours, other], 3) == (None, {})
    assert program.own_run([other, written("2026-c", "REHEARSED", 0)], 0) == (None, {})
    (tmp_path / "2026-d").mkdir()
    for content in ("[]", "{}", "{", '{"judgement": 1}', '{"judgement": {"exit_code": 0}}'):
        (tmp_path / "2026-d" / "run.json").write_text(content, encoding="utf-8")
        assert program.own_run([tmp_path / "2026-d"], 0)[1] == {}


@pytest.mark.parametrize("name", sorted(set(ACTION["inputs"]) - {"python", "results", "environment", "name"}))
def test_no_input_is_taken_for_code(name: str, prepared: Callable[..., Runner], tmp_path: Path) -> None:
    planted = f"\"; touch {tmp_path}/owned; $(touch {tmp_path}/owned) `touch {tmp_path}/owned` ' --help\n--profile=x"
    runner = prepared("calm", **{name: planted}).run()
    assert not (tmp_path / "owned").exists()
    assert set(runner.outputs["validate"]) == {"verdict", "run", "exit-code"}


def test_no_script_holds_an_expression_and_every_action_is_pinned() -> None:
    for step in STEPS:
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.fullmatch(rf"{UPLOAD}[0-9a-f]{{40}}", step["uses"])
    workflows = "".join(path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    pinned = re.findall(rf"{UPLOAD}[0-9a-f]{{40}} # v[\d.]+", (ROOT / "action.yml").read_text(encoding="utf-8"))
    assert len(pinned) == 2
    assert all(pin in workflows for pin in pinned), "pinned as the workflows pin it"


def test_a_cancelled_job_ends_its_run_in_good_order(prepared: Callable[..., Runner], tmp_path: Path) -> None:
    def cancel(process: "subprocess.Popen[str]") -> None:
        driver.wait_until_measuring(tmp_path / "results", "LONG")
        process.send_signal(signal.SIGINT)

    steps = iter([cancel])
    runner = prepared("calm", asks="sleep").run(lambda process: next(steps, lambda _: None)(process))
    folder = driver.only_run(tmp_path / "results")
    assert runner.outputs["validate"] == {"verdict": "INCONCLUSIVE", "run": str(folder), "exit-code": "2"}
    assert any("interrupted" in note for note in runs.load(folder).notes)


def test_annotations_escape_what_a_machine_says(program: ModuleType) -> None:
    for made in (report_runs.hostile(), report_runs.whole()):
        lines = program.annotations(made.model_dump(mode="json"))
        assert len(lines) <= 2 * program.MOST_ANNOTATIONS + 3
        for line in lines:
            assert re.fullmatch(r"::(error|warning|notice) title=[^:,]+::.*", line)
            assert line.isprintable()
            assert len(line) < 4 * program.MESSAGE_CHARS


def test_the_examples_hold(program: ModuleType) -> None:
    assert doctest.testmod(program) == (0, 5)


def test_what_failed_comes_first_with_what_was_found(program: ModuleType) -> None:
    lines = program.annotations(report_runs.whole().model_dump(mode="json"))
    assert lines[0] == "::error title=DISK-SPACE::12 GiB free"
    assert "::warning title=UNSEEN::the driver is stuck" in lines
