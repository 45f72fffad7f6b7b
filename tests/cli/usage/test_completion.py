"""A real bash completes commands, options and the names that they take, and an installed completion is found again."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import typer

from dgxcert import command
from dgxcert.cli.usage import completion, declared_names
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite

BASH = shutil.which("bash")
ASK = """
eval "$(dgxcert --show-completion)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_dgxcert_completion dgxcert
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with `dgxcert` on its path, and a home of its own."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "dgxcert"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dgxcert "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}


def completed(shell: dict[str, str], *words: str) -> list[str]:
    """What bash offers for the last of these words, in the shell's home."""
    assert BASH is not None
    done = command.run([BASH, "--norc", "-c", ASK, "bash", *words], timeout_s=60, cwd=Path(shell["HOME"]), env=shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("val", ["validate"]),
        ("sh", ["shell", "show"]),
        ("validate --pro", ["--profile"]),
        ("validate --profile dgx-sp", ["dgx-spark"]),
        ("validate --tier ", ["quick", "standard", "burn-in"]),
        ("validate --only DECODE", ["DECODE-SPEED"]),
        ("validate --only hub,DECODE", ["hub,DECODE-SPEED"]),
        ("validate --stack cu", ["current"]),
        ("show ", ["latest", "2026-11-25T09-00-00Z-b", "2026-11-24T07-24-20Z-a"]),
        ("show 2026-11-24", ["2026-11-24T07-24-20Z-a"]),
        ("show results/2026", []),
    ],
)
def test_bash_completes_what_a_command_takes(shell: dict[str, str], words: str, offered: list[str]) -> None:
    for name in ("2026-11-24T07-24-20Z-a", "2026-11-25T09-00-00Z-b"):
        (Path(shell["HOME"]) / "results" / name).mkdir(parents=True)
        (Path(shell["HOME"]) / "results" / name / "run.json").write_text("{}")
    assert completed(shell, "dgxcert", *words.split(" ")) == offered


def test_an_installed_completion_is_loaded_by_the_next_bash(shell: dict[str, str]) -> None:
    assert BASH is not None
    home = Path(shell["HOME"])
    installed = command.run([BASH, "--norc", "-c", "dgxcert --install-completion; :"], timeout_s=60, env=shell)
    assert installed.stdout.startswith(f"bash completion installed in {home}/.bash_completions/dgxcert.sh")
    known = command.run(
        [BASH, "--rcfile", str(home / ".bashrc"), "-ic", "complete -p dgxcert"], timeout_s=60, env=shell
    )
    assert known.stdout == "complete -o default -F _dgxcert_completion dgxcert\n"


def test_the_names_in_the_source_are_those_of_the_collected_suite() -> None:
    entries = suite.collect(suite.root(), gpus=1)
    assert declared_names.find(suite.root()) == [
        *sorted({entry.group for entry in entries}),
        *sorted({entry.id for entry in entries}),
    ]


def test_requirements_are_offered_without_groups() -> None:
    assert completion.requirements("GPU-PR") == ["GPU-PRESENT"]
    assert completion.requirements("hu") == []


def test_where_nothing_can_be_listed_nothing_is_offered_and_nothing_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> Path:
        raise CannotStart("The checks were not found.")

    monkeypatch.setattr(suite, "root", gone)
    assert completion.only("GPU") == []
    context = typer.Context(typer.main.get_command(typer.Typer(callback=gone)))
    context.params["results"] = tmp_path / "file"
    (tmp_path / "file").touch()
    assert completion.runs(context, "") == []
    assert capsys.readouterr() == ("", "")
