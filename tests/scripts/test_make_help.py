"""`make help` lists every target, within a terminal's columns, and whole in a pipe."""

import importlib
import re
import subprocess
import sys

import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
make_help = importlib.import_module("make_help")
sys.path.remove(str(ROOT / "scripts"))

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    shown = make_help.lines(MAKEFILE, width)
    assert max(map(len, shown)) <= width
    assert [line.split()[0] for line in shown if re.match(r"  [a-z]", line)] == TARGETS


def test_a_pipe_gets_each_target_on_one_line() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == TARGETS
    assert done.stdout.splitlines() == make_help.lines(MAKEFILE, None)


def test_what_a_user_types_comes_before_what_is_for_work_on_dgxcert() -> None:
    users, _, developers = MAKEFILE.partition("##@ To work on dgxcert itself")
    assert "\nvalidate:" in users
    assert "\nuninstall:" in users
    assert "\nmutation:" in developers
    assert "\nbench:" in developers
