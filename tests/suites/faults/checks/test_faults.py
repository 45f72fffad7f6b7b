"""A suite in which every second requirement ends its process, each in another way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dgxcert import command, requirement

PIDS = Path(os.environ.get("DGXCERT_TEST_PIDS", os.devnull))

ABOUT: dict[str, Any] = {"why": "a fault must cost one requirement", "remedy": ("look",)}


@requirement("BEFORE-ALL", title="Timed before every fault", **ABOUT)
def test_timed_before_every_fault(benchmark, evidence):
    benchmark.pedantic(lambda: None, rounds=3)
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()


@requirement("HANGS", title="Hangs", takes_s=0.1, budget_s=1.5, **ABOUT)
def test_hangs():
    time.sleep(600)


@requirement("AFTER-HANG", title="After hang", **ABOUT)
def test_after_hang(evidence):
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()


@requirement("DEFIES", title="Defies signals and has children", takes_s=0.1, budget_s=1.5, **ABOUT)
def test_defies_signals_and_has_children():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    PIDS.write_text(f"{os.getpid()} {child.pid} ")
    write_pid = f"import os, time; open({str(PIDS)!r}, 'a').write(str(os.getpid())); time.sleep(600)"
    command.run([sys.executable, "-c", write_pid], timeout_s=600)  # in a process group of its own


@requirement("CRASHES", title="Crashes", **ABOUT)
def test_crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


@requirement("AFTER-CRASH", title="After crash", **ABOUT)
def test_after_crash(evidence):
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()


@requirement("LEAVES", title="Exits with code 0", **ABOUT)
def test_exits_with_code_0(evidence):
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()
    os._exit(0)


@requirement("KILLED", title="Is killed", **ABOUT)
def test_is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@requirement("RAISES", title="Raises", **ABOUT)
def test_raises(evidence):
    raise OSError("no such instrument")
