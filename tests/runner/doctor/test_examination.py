"""Doctor asks the requirements themselves, side by side and within its time, whatever of them hangs or dies."""

import os
import time
from datetime import datetime
from pathlib import Path

import pytest
from suites import example

from dgxcert.cli import doctor
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.plan.options import Options
from dgxcert.runner import session
from dgxcert.runner.doctor import examination, preparation
from dgxcert.runner.doctor.findings import Effect, Examination, Finding
from dgxcert.runner.doctor.preparation import Answer

CHECK = """
import os, time
from dgxcert import requirement
from dgxcert.outcome import Inconclusive

@requirement("{id}", title="{id} holds", why="models", remedy=("Look: df -h",), stage="host", gate={gate})
def test_{name}(evidence):
    {body}
"""
PASSES = "assert evidence.record('x', 1, source='y') == 1"
FAILS = "assert evidence.record('x', 1, source='y') == 2"
HANGS = "time.sleep(600)"
DIES = "os.kill(os.getpid(), 9)"
DEFERS = "raise Inconclusive('no engine', 'Fix DOCKER-REACHABLE first.')"


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Examine with a suite of checks, given as id and body by file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suite, "root", lambda: tmp_path / "suite")
    monkeypatch.setattr(examination, "LIMIT_S", 90.0)  # a test that lets something hang has a limit of its own
    monkeypatch.setattr(preparation, "image", lambda options: Answer(f"image {options.image_reference} fits", []))
    (tmp_path / "suite" / "checks" / "host").mkdir(parents=True)
    (tmp_path / "suite" / "benchmarks").mkdir()

    def examine(runtime: Runtime = Runtime.NATIVE, **checks: dict[str, str]) -> Examination:
        for file, bodies in checks.items():
            texts = [
                CHECK.format(id=key, name=key.replace("-", "_").lower(), body=body, gate=key.startswith("DOCKER"))
                for key, body in bodies.items()
            ]
            (tmp_path / "suite" / "checks" / "host" / f"{file}.py").write_text("\n".join(texts))
        profile = example.profile_file(tmp_path)
        return examination.examine(Options(profile=str(profile), runtime=runtime))

    return examine


def effects(examined: Examination) -> dict[str, Effect]:
    return {finding.name: finding.effect for finding in examined.findings if finding.effect is not Effect.NONE}


def test_nothing_in_the_way_is_said_in_one_line_and_writes_nothing(examined, tmp_path: Path) -> None:
    found = examined(test_disk={"DISK-SPACE": PASSES})
    assert (effects(found), found.exit_code) == ({}, 0)
    (line,) = doctor.told(found).splitlines()
    assert line.startswith("Nothing is in the way of a run (2 things looked at for profile any-suite")
    assert not (tmp_path / "results").exists()


def test_what_fails_rejects_with_its_own_remedy(examined) -> None:
    found = examined(test_disk={"DISK-SPACE": FAILS, "SWAP-UNUSED": PASSES})
    assert (effects(found), found.exit_code) == ({"DISK-SPACE": Effect.REJECTS}, 1)
    (trouble,) = found.troubles
    assert (trouble.problem.splitlines()[0], trouble.remedy) == ("x is 1, required == 2", ("Look: df -h",))
    assert "1 rejects this machine" in doctor.told(found)


def test_what_hangs_costs_only_what_waits_for_it(examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "LIMIT_S", 9.0)
    began = time.monotonic()
    found = examined(
        Runtime.DOCKER,
        test_engine={"DOCKER-REACHABLE": HANGS, "DOCKER-ROOTFUL": PASSES},
        test_disk={"DISK-SPACE": FAILS},
    )
    assert time.monotonic() - began < 20
    stops = next(finding for finding in found.findings if finding.name == "DOCKER-REACHABLE")
    assert (stops.effect, stops.behind) == (Effect.STOPS, ("DOCKER-ROOTFUL",))
    assert "it did not end within the 9 s" in stops.problem
    assert effects(found)["DISK-SPACE"] is Effect.REJECTS
    assert found.exit_code == 1


def test_a_check_that_dies_is_not_known(examined) -> None:
    found = examined(test_disk={"DISK-SPACE": DIES, "SWAP-UNUSED": PASSES})
    assert (effects(found), found.exit_code) == ({"DISK-SPACE": Effect.UNKNOWN}, 2)


def test_a_gate_that_cannot_be_told_stops_only_a_run_in_the_container(examined) -> None:
    checks = {"test_engine": {"DOCKER-REACHABLE": FAILS, "DOCKER-API": DEFERS}}
    found = examined(Runtime.DOCKER, **checks)
    assert effects(found)["DOCKER-REACHABLE"] is Effect.STOPS
    assert "DOCKER-API" not in effects(found), "it is told by the trouble that has to be fixed before"
    assert found.image == "", "an engine that does not answer is not asked for an image"
    assert effects(examined(Runtime.NATIVE, **checks))["DOCKER-REACHABLE"] is Effect.REJECTS


def test_an_engine_that_answers_is_asked_for_the_image(examined) -> None:
    assert examined(Runtime.DOCKER, test_engine={"DOCKER-REACHABLE": PASSES}).image == "image dgxcert:course fits"


def test_a_driver_that_hangs_leaves_the_rest(examined, monkeypatch: pytest.MonkeyPatch) -> None:
    def hung(_limit_s: float) -> None:
        raise CannotStart("The machine could not be read: timed out.", "Restart the machine.")

    monkeypatch.setattr(session, "read_machine", hung)
    found = examined(test_disk={"DISK-SPACE": FAILS})
    assert effects(found) == {"machine": Effect.STOPS, "DISK-SPACE": Effect.REJECTS}


def test_no_process_is_left(examined) -> None:
    from dgxcert import command

    before = command._groups_below(os.getpid())  # what earlier tests have left is not this one's
    examined(test_disk={"DISK-SPACE": PASSES})
    assert command._groups_below(os.getpid()) - before == set()


@pytest.mark.parametrize(
    ("now", "built", "effect"),
    [
        (datetime(1970, 1, 1), "Nov 12 2025 10:00:00", Effect.REJECTS),
        (datetime(2025, 11, 12), "Nov 12 2025 10:00:00", Effect.NONE),
        (datetime(2026, 1, 1), "Nov  2 2025, 10:00:00", Effect.NONE),
        (datetime(1970, 1, 1), "unknown", Effect.NONE),
    ],
)
def test_a_clock_before_this_python_was_built_is_wrong(now: datetime, built: str, effect: Effect) -> None:
    assert preparation.clock(now, built).effect is effect


def test_an_image_that_may_not_be_built_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from dgxcert.container import builder

    monkeypatch.setattr(builder, "find", lambda _reference: None)
    answer = preparation.image(Options(profile="cpu", runtime=Runtime.DOCKER, build=False))
    (finding,) = answer.findings
    assert (finding.effect, finding.remedy) == (Effect.STOPS, ("Build it: make image",))
    sentence = preparation.image(Options(profile="cpu", runtime=Runtime.DOCKER)).sentence
    assert (
        "does not exist yet: a run builds it on its base image, which will be downloaded first (about 10 GB)"
        in sentence
    )


def test_text_of_a_machine_steers_no_terminal() -> None:
    finding = Finding(name="X", title="x", effect=Effect.REJECTS, problem="bad\x1b[2J", remedy=("do\x07",))
    found = Examination(profile="p", runtime="native", image="", findings=(finding,), seconds=1, exit_code=1)
    assert "\x1b" not in doctor.told(found)
    assert "\x07" not in doctor.told(found)


def test_what_one_cause_keeps_from_being_told_is_told_once() -> None:
    log = {"effect": Effect.UNKNOWN, "problem": "no kernel log", "remedy": ("Get access to it: sudo dmesg",)}
    alike = [Finding(name="GPU-XID", title="no Xid", **log), Finding(name="CPU-HEALTHY", title="healthy", **log)]
    other = Finding(name="LAST-BOOT", title="ended well", effect=Effect.UNKNOWN, problem="no journal")
    found = Examination(profile="p", runtime="native", image="", findings=(*alike, other), seconds=1, exit_code=2)
    told = doctor.told(found)
    assert "UNKNOWN  GPU-XID, CPU-HEALTHY\n  no kernel log\n" in told
    assert told.count("sudo dmesg") == 1
    assert "UNKNOWN  LAST-BOOT: ended well\n" in told
    assert told.endswith("3 could not be told (3 things looked at for profile p, 1.0 s, exit 2)")
