"""An error is one line and exit code 3; only a verdict has the exit code of a verdict."""

import signal
import sys
from pathlib import Path

import pytest
from suites.commands import Result

from dgxcert import command
from dgxcert.cli.app import CALLER
from dgxcert.outcome import CannotStart
from dgxcert.runner import interrupts, validation


def raising(error: BaseException):
    def stop(*_: object) -> None:
        raise error

    return stop


def test_a_bug_never_exits_like_a_verdict(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(ZeroDivisionError("a bug")))
    ended = dgxcert("validate", "--profile", "cpu")
    assert ended.code == 3
    assert "ZeroDivisionError: a bug" in ended.err


def test_ctrl_c_before_a_run_is_one_line(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(KeyboardInterrupt()))
    dgxcert("validate", "--profile", "cpu").require_refused("interrupted")


def test_a_library_that_makes_an_error_of_ctrl_c_is_interrupted_too(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        with interrupts.held() as stop:
            try:
                with stop.raising():
                    signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                raise ValueError("the model cannot be built") from None

    monkeypatch.setattr(validation, "validate", build)
    dgxcert("validate", "--profile", "cpu").require_refused("interrupted")


def test_an_interruption_of_code_that_a_library_writes_ends_with_exit_3_too(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import importlib\n"
        "app = importlib.import_module('dgxcert.cli.app')\n"
        "def interrupted(stop):\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        return app._fail('interrupted.')\n"
        "app._code = interrupted\n"
        "app.main()\n"
    )
    completed = command.run([sys.executable, "-m", script.stem], timeout_s=30, cwd=tmp_path)
    Result(completed.returncode, completed.stdout, completed.stderr).require_refused("interrupted")


def test_brackets_in_a_message_are_not_markup(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "validate", raising(CannotStart("DECODE-SPEED[red] is gone.", "[bold]Look.")))
    dgxcert("validate").require_refused("DECODE-SPEED[red] is gone. [bold]Look.")


def test_the_installed_command_ends_with_exit_3_and_one_line() -> None:
    completed = command.run([sys.executable, "-m", "dgxcert", "show", "/nowhere"], timeout_s=30)
    Result(completed.returncode, completed.stdout, completed.stderr).require_refused("/nowhere/run.json cannot be read")


def test_ctrl_c_while_its_packages_are_imported_is_one_line() -> None:
    code = "import sys; sys.modules['typer'] = None; import builtins, dgxcert.cli as cli; cli._interrupted()"
    completed = command.run([sys.executable, "-c", code], timeout_s=30)
    Result(completed.returncode, completed.stdout, completed.stderr).require_refused("interrupted")


def test_an_error_of_make_is_in_its_words(dgxcert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CALLER, "make")
    wrong = dgxcert("validate", "--only", "decode-speed", "--profile", "cpu")
    error, explained = wrong.err.splitlines()
    assert error.startswith("dgxcert: ONLY: no requirement is called 'decode-speed'; did you mean 'DECODE-SPEED'?")
    assert explained == "The next line is how make passes exit code 3 on:"
