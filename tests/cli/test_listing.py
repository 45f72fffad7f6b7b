"""`list` shows every requirement without importing torch; `show` prints a run and exits like it."""

import re
import sys
from pathlib import Path

import pytest
from paths import ROOT
from suites import example
from suites.certified import AS_REQUIRED

from dgxcert import command
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.PASSED, 0), (Outcome.FAILED, 1), (Outcome.INCONCLUSIVE, 2)])
def test_showing_a_run_exits_like_the_run(dgxcert, tmp_path: Path, outcome: Outcome, code: int) -> None:
    run = runs.assemble(
        [example.opened(example.planned("A")), example.finished("A", outcome, evidence=(AS_REQUIRED,))], "run"
    )
    (tmp_path / runs.NAME).write_text(run.model_dump_json())
    shown = dgxcert("show", tmp_path)
    assert (shown.code, shown.err) == (code, "")
    assert "not checked against its record" in " ".join(shown.out.split())
    assert run.judgement.verdict.value in shown.out


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


def test_showing_a_run_says_more_or_less(dgxcert, tmp_path: Path) -> None:
    run = runs.assemble(
        [
            example.opened(example.planned("A"), example.planned("B")),
            example.finished("A", evidence=(AS_REQUIRED,)),
            example.finished("B", Outcome.FAILED, reason="too low", remedy=("look", "mend")),
        ],
        "run",
    )
    (tmp_path / runs.NAME).write_text(run.model_dump_json())
    usual, more, less = (dgxcert("show", tmp_path, *flags).out for flags in ((), ("-v",), ("--quiet",)))
    assert "step 1 of 2: look" in usual
    assert "2. mend" not in usual
    assert "2. mend" in more
    assert re.search(r"^  passed +A  as required True", more, re.MULTILINE)
    assert [line.split(" ")[0] for line in less.splitlines()[:2]] == ["FAILED", "REJECTED"]


@pytest.mark.parametrize("command", [["show", "run"], ["validate", "--profile", "cpu"]])
def test_more_and_less_at_once_is_refused(dgxcert, command: list[str]) -> None:
    dgxcert(*command, "-v", "-q").require_refused("-v shows more and -q shows less")
