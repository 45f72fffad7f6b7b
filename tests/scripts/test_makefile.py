"""make: what is typed after a name is a text, a name that nothing reads is an error, and an answer is no crash."""

import os
import re
import shutil
import subprocess
import sys
import time
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
    shutil.copy(ROOT / "scripts" / "wrong_make_word.py", tmp_path / "scripts")
    (tmp_path / "src" / "dgxcert").mkdir(parents=True)
    for module in ("__init__.py", "near_miss.py"):
        shutil.copy(ROOT / "src" / "dgxcert" / module, tmp_path / "src" / "dgxcert")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for program in ("dgxcert", "python"):
        (tmp_path / ".venv" / "bin" / program).write_text(SHOW_WORDS)
        (tmp_path / ".venv" / "bin" / program).chmod(0o755)
    return tmp_path


def make(checkout: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["make", *words], cwd=checkout, capture_output=True, text=True, timeout=60, env={**os.environ, **variables}
    )
    assert not (checkout / "pwned").exists(), done.stdout + done.stderr
    return done


def made(checkout: Path, *words: str, **variables: str) -> list[str]:
    done = make(checkout, *words, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("target", ["validate", "rehearse", "list"])
def test_a_typed_text_arrives_as_it_is(checkout: Path, target: str, text: str) -> None:
    words = made(checkout, target, f"ONLY={text}", f"RESULTS={text}", f"STACK={text}")
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


def refused(checkout: Path, *words: str, **variables: str) -> str:
    """The one line with which make stops, before it has done anything."""
    done = make(checkout, *words, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    found = re.fullmatch(r"Makefile:\d+: \*\*\* (.+)  Stop\.\n", done.stderr)
    assert found, done.stderr
    return found[1]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("validate profile=cpu", "there is no variable profile; did you mean PROFILE?."),
        ("validate Profile=cpu", "there is no variable Profile; did you mean PROFILE?."),
        ("burn-in MINUTE=480", "there is no variable MINUTE; did you mean MINUTES?."),
        ("burn-in minutes=480", "there is no variable minutes; did you mean MINUTES?."),
        ("validate TEIR=quick", "there is no variable TEIR; did you mean TIER?."),
        ("validate ONLY=hub no-build=1", "there is no variable no-build; did you mean NO_BUILD?."),
        ("list XYZZY=1", "there is no variable XYZZY; `make help` shows what each target takes."),
        ("valdate", "there is no target valdate; did you mean validate?."),
        ("validate TIER=quick xyzzy", "there is no target xyzzy; `make help` shows every target."),
        ("report", "make report needs RUN: make report RUN=latest."),
        ("report RUN=", "make report needs RUN: make report RUN=latest."),
        ("report RUNS=results/a", "make report needs RUN, found RUNS: make report RUN=latest."),
        ("show", "make show needs RUN: make show RUN=latest."),
        ("bundle", "make bundle needs RUN: make bundle RUN=latest."),
        ("compare", "make compare needs RUN: make compare RUN=latest."),
        ("compare WITH=a", "make compare needs RUN: make compare RUN=latest."),
        ("compare RUN=a RUNS=b", "make compare needs RUN, found RUNS: make compare RUN=latest."),
        ("sign", "make sign needs RUN and KEY: make sign RUN=latest KEY=~/.ssh/id_ed25519."),
        ("sign RUN=a", "make sign needs KEY: make sign RUN=latest KEY=~/.ssh/id_ed25519."),
        ("verify", "make verify needs FILE: make verify FILE=latest."),
        ("verify RUN=a", "make verify needs FILE, found RUN: make verify FILE=latest."),
        ("drift", "make drift needs FILE: make drift FILE=latest."),
        (
            "calibrate RUN=a",
            'make calibrate needs RUNS, found RUN: make calibrate RUNS="results/A results/B results/C".',
        ),
    ],
)
def test_a_wrong_or_a_missing_name_stops_make_with_the_right_one(checkout: Path, words: str, answer: str) -> None:
    assert refused(checkout, *words.split()) == answer


@pytest.mark.parametrize("text", HOSTILE)
def test_the_value_of_a_wrong_name_runs_nothing(checkout: Path, text: str) -> None:
    assert "there is no variable UNKNOWN" in refused(checkout, "list", f"UNKNOWN={text}")


@pytest.mark.parametrize("name", ["x;touch\tpwned", "'", "\x1b[2J", "`touch\tpwned`"])
def test_a_wrong_name_runs_nothing_and_steers_no_terminal(checkout: Path, name: str) -> None:
    done = make(checkout, "list", f"{name}=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "\x1b" not in done.stderr


def test_without_python_a_wrong_name_is_still_an_error(checkout: Path) -> None:
    done = make(checkout, "validate", "profile=cpu", "PYTHON=/nowhere/python3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "*** there is no variable profile." in done.stderr


def test_a_variable_of_the_environment_may_be_called_anything(checkout: Path) -> None:
    assert made(checkout, "quick", profile="cpu", MINUTE="480", RUNS="a")[:3] == ["validate", "--tier", "quick"]


def test_developers_use_the_environment_as_it_is(checkout: Path) -> None:
    (checkout / "scripts" / "setup.py").write_text("raise SystemExit('set up')")
    assert made(checkout, "SET_UP=true", "list") == ["list"]


def test_every_variable_that_a_recipe_quotes_may_be_typed() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = re.search(r"^TYPED = (.*?)\n(?!\t)", makefile, re.MULTILINE | re.DOTALL)
    assert known is not None
    read = set(re.findall(r"\$\(call (?:quoted|each),\$\(([A-Z_]+)\)", makefile))
    assert read
    assert not read - set(known[1].replace("\\", " ").split())


ANSWERS = ["validate", "rehearse", "quick", "burn-in", "ready", "doctor", "hub", "cache"]


@pytest.mark.parametrize(
    "words", [*ANSWERS, "show RUN=a", "compare RUN=a", "verify FILE=a", "drift FILE=a", "-j2 quick"]
)
def test_an_answer_of_exit_code_1_is_passed_on_without_a_word(checkout: Path, words: str) -> None:
    (checkout / ".venv" / "bin" / "dgxcert").write_text("#!/bin/sh\necho REJECTED\nexit 1\n")
    done = make(checkout, *words.split())
    assert (done.returncode, done.stdout, done.stderr) == (1, "REJECTED\n", "")


@pytest.mark.parametrize("code", [2, 3])
def test_higher_exit_codes_are_2_and_the_line_of_make_is_explained(checkout: Path, code: int) -> None:
    program = checkout / ".venv" / "bin" / "dgxcert"
    program.write_text(
        f"#!{sys.executable}\n"
        "import importlib, sys\n"
        "app = importlib.import_module('dgxcert.cli.app')\n"
        f"app._code = lambda stop: {code}\n"
        "app.main()\n"
    )
    done = make(checkout, "rehearse", PYTHONPATH=os.pathsep.join(sys.path))
    explained, by_make = done.stderr.splitlines()
    assert (done.returncode, explained) == (2, f"The next line is how make passes exit code {code} on:")
    assert re.fullmatch(rf"make: \*\*\* \[Makefile:\d+: rehearse\] Error {code}", by_make)


def test_a_signal_to_make_reaches_the_command_and_make_waits_for_it(checkout: Path) -> None:
    """As a cancelled CI job sends it: the run that is interrupted is closed before make ends."""
    program = checkout / ".venv" / "bin" / "dgxcert"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, signal, sys, time\n"
        "def close(*_):\n"
        "    time.sleep(0.5)\n"
        "    pathlib.Path('closed').touch()\n"
        "    sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, close)\n"
        "pathlib.Path('measuring').touch()\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(["make", "validate"], cwd=checkout, stderr=subprocess.PIPE) as started:
        deadline = time.monotonic() + 60
        while not (checkout / "measuring").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        started.terminate()
        started.communicate(timeout=60)
    assert (checkout / "closed").exists()
    assert started.returncode != 0


@pytest.mark.parametrize("words", ["validate", "hub", "list"])
def test_a_setup_that_fails_is_no_answer(checkout: Path, words: str) -> None:
    (checkout / "scripts" / "setup.py").write_text("raise SystemExit('no pip')")
    done = make(checkout, words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no pip" in done.stderr


@pytest.mark.parametrize("words", ["-n validate", "-n rehearse", "--dry-run quick", "-n show RUN=a"])
def test_make_n_runs_nothing(checkout: Path, words: str) -> None:
    (checkout / ".venv" / "bin" / "dgxcert").write_text("#!/bin/sh\ntouch pwned\n")
    done = make(checkout, *words.split())
    assert done.returncode == 0
    assert "/dgxcert" in done.stdout


def test_the_mode_in_which_make_answers_ends_with_it(checkout: Path) -> None:
    """A make that the command starts, as a build of a package may, must not answer in place of building."""
    (checkout / ".venv" / "bin" / "dgxcert").write_text('#!/bin/sh\nprintf "%s" "$MAKEFLAGS$MFLAGS"\n')
    assert made(checkout, "validate", "PROFILE=cpu") == []
