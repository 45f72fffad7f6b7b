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
from dgxcert.record import journal
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


def shown_times(dgxcert, folder: Path, *events: object, flags: tuple[str, ...] = ()) -> list[str]:
    """The lines of `show --times` of a run of these events."""
    run = runs.assemble([*events], "run")
    (folder / runs.NAME).write_text(run.model_dump_json())
    shown = dgxcert("show", folder, "--times", *flags)
    assert (shown.code, shown.err) == (run.judgement.exit_code, "")
    lines: list[str] = shown.out.splitlines()
    assert max(map(len, lines)) <= 80 or flags
    return lines


def test_times_say_on_what_each_requirement_spent_its_seconds(dgxcert, tmp_path: Path) -> None:
    spent = {"building": 4.0, "warming up": 1.0, "measuring": 3.0, "waiting": 0.5}
    long = f"DECODE-SPEED[{'x' * 40}-single]"
    lines = shown_times(
        dgxcert,
        tmp_path,
        example.opened(example.planned("A"), example.planned(long)),
        example.started("A"),
        example.finished("A", evidence=(AS_REQUIRED,)),
        example.started(long),
        example.finished(long, evidence=(AS_REQUIRED,), duration_s=10.0, spent=spent),
    )
    assert lines[0].split() == ["seconds", "all", "build", "warm", "timed", "verify", "wait", "rest"]
    assert lines[1].startswith("DECODE-SPEED[x")
    assert lines[1].split()[0].endswith("xx-single]")
    assert lines[1].split()[1:] == ["10.0", "4.0", "1.0", "3.0", "0.5", "1.5"]
    assert lines[2].split() == ["A", "2.5", "2.5"]
    assert lines[4].split()[-6:] == ["12.5", "4.0", "1.0", "3.0", "0.5", "4.0"]
    assert lines[6] == "0.0 s by the clock: requirements 12.5 s, starting their processes 0.0 s"
    assert lines[7].startswith("Several worked at the same time")
    assert lines[8] == "Warming up and what is timed: 32% of the requirements, 32% of all."


def test_times_say_what_passed_outside_of_requirements(dgxcert, tmp_path: Path) -> None:
    """Starting, and what the supervisor took: seconds that no requirement spent."""
    finished = example.finished("A", evidence=(AS_REQUIRED,), duration_s=10.0, spent={"measuring": 8.0})
    events = {
        0: example.opened(example.planned("A")),
        4: journal.ChildStarted(stage="native", number=1, pid=4711, log="logs/native-1.log"),
        7: example.started("A"),
        17: finished,
        20: journal.StageEnded(stage="native"),
    }
    timed = [event.model_copy(update={"at": f"2026-11-23T18:40:{at:02}.000Z"}) for at, event in events.items()]
    lines = shown_times(dgxcert, tmp_path, *timed)
    assert lines[-4] == "20.0 s by the clock: requirements 10.0 s, starting their processes 3.0 s"
    assert lines[-3] == "7.0 s passed outside of both: the supervisor, earlier attempts and pauses."
    assert lines[-2] == "Warming up and what is timed: 80% of the requirements, 40% of all."


def test_times_of_an_older_run_are_whole_durations(dgxcert, tmp_path: Path) -> None:
    events = (
        example.opened(example.planned("A")),
        example.started("A"),
        example.finished("A", evidence=(AS_REQUIRED,)),
    )
    assert shown_times(dgxcert, tmp_path, *events)[-1].startswith("This run was made by a dgxcert that kept only")


def test_times_of_a_run_that_measured_nothing(dgxcert, tmp_path: Path) -> None:
    lines = shown_times(dgxcert, tmp_path, example.opened(example.planned("A")))
    assert lines == ["Nothing was measured, so no time was spent."]


def test_times_show_the_longest_and_with_v_all(dgxcert, tmp_path: Path) -> None:
    keys = [f"A{number}" for number in range(25)]
    events = [example.opened(*map(example.planned, keys))]
    for number, key in enumerate(keys):
        events += [example.started(key), example.finished(key, evidence=(AS_REQUIRED,), duration_s=1.0 + number)]
    usual, all_ = (shown_times(dgxcert, tmp_path, *events, flags=flags) for flags in ((), ("-v",)))
    assert [line.split()[0] for line in usual[1:4]] == ["A24", "A23", "A22"]
    assert usual[21].split()[:2] == ["5", "others"]
    assert [line.split()[0] for line in all_[1:26]] == keys[::-1]


@pytest.mark.parametrize("command", [["show", "run"], ["validate", "--profile", "cpu"]])
def test_more_and_less_at_once_is_refused(dgxcert, command: list[str]) -> None:
    dgxcert(*command, "-v", "-q").require_refused("-v shows more and -q shows less")
