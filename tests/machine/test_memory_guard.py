"""Work is stopped, and named, before the machine runs out of memory."""

import functools
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from suites import driver, example

from dgxcert.machine import memory_guard
from dgxcert.record import run as runs
from dgxcert.runner.lanes.child import Child
from dgxcert.runner.lanes.host_share import Share
from dgxcert.runner.supervisor import Supervisor

FLOOR = (4.0, "below this the kernel writes pages out")


@pytest.mark.parametrize(
    ("available_kib", "message"), [(4_194_304, ""), (4_194_303, "only 4.0 GiB of memory were available")]
)
def test_a_shortage_is_less_than_the_floor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, available_kib: int, message: str
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 127535596 kB\nMemAvailable: {available_kib} kB\n", encoding="ascii")
    monkeypatch.setattr(memory_guard, "MEMINFO", meminfo)
    assert memory_guard.shortage(*FLOOR)[: len(message)] == message
    assert bool(memory_guard.shortage(*FLOOR)) == bool(message)


def test_a_kernel_without_a_figure_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_guard, "MEMINFO", tmp_path / "none")
    assert memory_guard.shortage(*FLOOR) == ""
    (tmp_path / "none").write_text("MemTotal: 12 kB\n", encoding="ascii")
    assert memory_guard.shortage(*FLOOR) == ""


def test_an_idle_process_is_not_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_guard, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemAvailable: 1 kB\n", encoding="ascii")
    busy, stopped = [False], []
    thread = memory_guard.start(functools.partial(memory_guard.shortage, *FLOOR), lambda: busy[0], stopped.append)
    time.sleep(0.1)
    assert stopped == []
    busy[0] = True
    thread.join(timeout=5)
    assert len(stopped) == 1
    assert "0.0 GiB of memory were available to the machine" in stopped[0]


def _profile_with_floor(folder: Path, gib: float) -> Path:
    path = example.profile_file(folder)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["memory"]["floor"]["value"], content["memory"]["margin"]["value"] = gib, 2 * gib
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(("stage", "trouble"), [("native", "it was killed because no memory is left"), ("host", "")])
def test_a_check_that_only_reads_the_machine_is_not_stopped(tmp_path: Path, stage: str, trouble: str) -> None:
    """MEMORY-AVAILABLE must fail on such a machine, and would otherwise be killed before it has read the memory."""
    anything: Any = None
    plan = {"MEMORY-AVAILABLE": example.planned("MEMORY-AVAILABLE")}
    child = Child(anything, plan, stage=stage, number=1, excess=lambda: "")
    child.take(example.started("MEMORY-AVAILABLE"))
    supervisor = Supervisor(anything, tmp_path, anything, anything, anything, shortage=lambda: "no memory is left")
    assert supervisor._kill_reason(child) == trouble


def test_of_several_lanes_the_one_that_has_the_most_is_ended_and_no_other(tmp_path: Path) -> None:
    anything: Any = None
    plan = {"LONG": example.planned("LONG")}
    supervisor = Supervisor(anything, tmp_path, anything, anything, anything, shortage=lambda: "no memory is left")
    for number, gib in enumerate((3, 9, 5)):
        share = Share(gpu=number, place=number, lanes=3)
        child = Child(anything, plan, stage="native", number=number, excess=lambda: "", share=share)
        child.take(example.started("LONG"))
        child.resident = functools.partial(int, gib)
        supervisor._children[number] = child
    reasons = [bool(supervisor._kill_reason(child)) for child in supervisor._children.values()]
    assert reasons == [False, True, False]


def test_a_requirement_that_leaves_too_little_is_inconclusive_by_name(tmp_path: Path) -> None:
    """A floor above the memory of this machine stands in for a workload that takes too much."""
    results = tmp_path / "results"
    profile = _profile_with_floor(tmp_path, gib=1e6)
    done = driver.run("calm", "validate", "--profile", profile, "--results", results, "--only", "LONG", asks="sleep")
    assert done.returncode == 2, done.stdout
    results_by_key = {result.key: result for result in runs.load(driver.only_run(results)).results}
    stopped = results_by_key["LONG"]
    assert stopped.outcome.value == "inconclusive"
    assert "it stopped itself: only" in stopped.reason or "it was killed because only" in stopped.reason
    assert "less than the 1e+06 GiB below which work is stopped" in stopped.reason


def test_the_children_of_a_stopped_process_are_killed_too(tmp_path: Path) -> None:
    """In a process of its own, since it kills all of its children, in whatever process group."""
    program = (
        "import subprocess, sys; from dgxcert import command;"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True); print(child.pid, flush=True);"
        "command.kill_below(); child.wait(); print(child.returncode)"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    pid, code = done.stdout.split()
    assert code == "-9"
    assert not Path(f"/proc/{pid}").exists() or int(pid) != os.getpid()
