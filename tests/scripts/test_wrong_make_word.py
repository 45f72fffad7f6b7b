"""make's answer to a wrong name is one line that can be printed, whatever the name holds."""

import subprocess
import sys

import pytest
from paths import ROOT

SCRIPT = ROOT / "scripts" / "wrong_make_word.py"


def said(kind: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, kind, *words, "--", "PROFILE", "MINUTES"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("profile", "there is no variable profile; did you mean PROFILE?\n"),
        ("x\x1b[2J\ny", "there is no variable x\\x1b[2J\\ny; `make help` shows what each target takes\n"),
        ("A" * 100_000, f"there is no variable {'A' * 60}; `make help` shows what each target takes\n"),
    ],
)
def test_a_wrong_name_is_answered_on_one_line(word: str, answer: str) -> None:
    assert said("variable", word) == answer


def test_of_several_wrong_names_the_first_is_answered() -> None:
    assert said("variable", "minute", "profil") == "there is no variable minute; did you mean MINUTES?\n"
