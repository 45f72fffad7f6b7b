"""What is typed after a name of make is a text: no quote, newline or function in it runs a command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT

SHOW_WORDS = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n'
HOSTILE = [
    "x'; touch pwned; '",
    'x"; touch pwned; "',
    "$(shell touch pwned)",
    "${shell touch pwned}",
    "$(error stopped)",
    "`touch pwned`",
    "$$(touch pwned)",
    "x; touch pwned #",
    "a,b) c\\ $",
    "-rf",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, in which setup does nothing and dgxcert prints each of its words on a line."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "setup.py").write_text("")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for program in ("dgxcert", "python"):
        (tmp_path / ".venv" / "bin" / program).write_text(SHOW_WORDS)
        (tmp_path / ".venv" / "bin" / program).chmod(0o755)
    return tmp_path


def made(checkout: Path, *words: str, **variables: str) -> list[str]:
    done = subprocess.run(
        ["make", *words], cwd=checkout, capture_output=True, text=True, timeout=60, env={**os.environ, **variables}
    )
    assert not (checkout / "pwned").exists(), done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("target", ["validate", "rehearse", "list"])
def test_a_typed_text_arrives_as_it_is(checkout: Path, target: str, text: str) -> None:
    words = made(checkout, target, f"ONLY={text}", f"RESULTS={text}", f"STACK={text}", f"UNKNOWN={text}")
    assert target == "list" or words[words.index("--only") + 1] == text
    assert target == "list" or words[words.index("--results") + 1] == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_of_the_environment_arrives_as_it_is(checkout: Path, text: str) -> None:
    words = made(checkout, "rehearse", ONLY=text)
    assert words[words.index("--only") + 1] == text


def test_a_newline_begins_no_command(checkout: Path) -> None:
    words = made(checkout, "validate", "ONLY=x\ntouch pwned\n")
    assert words[words.index("--only") + 1].split() == ["x", "touch", "pwned"]


def test_several_runs_are_several_words(checkout: Path) -> None:
    words = made(checkout, "calibrate", "RUNS=results/a results/b; touch pwned", "WHO=Ada O'Neil")
    assert words == ["calibrate", "results/a", "results/b;", "touch", "pwned", "--who", "Ada O'Neil"]


def test_what_is_not_typed_is_left_to_the_config_file(checkout: Path) -> None:
    words = made(checkout, "quick")
    assert words[:5] == ["validate", "--tier", "quick", "--runtime", "auto"]
    assert made(checkout, "burn-in")[3:5] == ["--minutes", "30"]
    assert made(checkout, "rehearse")[:3] == ["validate", "--profile", "cpu"]
    assert made(checkout, "history", "RESULTS=out") == ["history", "--results", "out"]
    assert made(checkout, "verify", "FILE=a") == ["verify", "a"]
