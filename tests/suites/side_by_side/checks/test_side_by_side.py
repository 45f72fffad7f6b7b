"""A suite of a machine with as many GPUs as DGXCERT_TEST_ASKS begins with, each of which only sleeps: a slow clock.

After the number come faults, `dies-gpu1`, for the requirement FAULT of that GPU.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dgxcert import command, requirement

COUNT, *FAULTS = os.environ.get("DGXCERT_TEST_ASKS", "").split() or ["2"]
GPUS = [f"gpu{index}" for index in range(int(COUNT))]
PIDS = Path(os.environ.get("DGXCERT_TEST_PIDS", os.devnull))
SLOW_S = float(os.environ.get("DGXCERT_TEST_SLOW_S", "0.5"))
MEETS = os.environ.get("DGXCERT_TEST_MEETS")
"""A folder by which every GPU waits for all others, where it is given: one by one they would never end."""

ABOUT: dict[str, Any] = {"why": "eight GPUs must not take eight times as long", "remedy": ("look",)}
CASES = ("a", "b", "c")

on_each_gpu = pytest.mark.parametrize("on", GPUS, ids=GPUS)


def note() -> None:
    """Note this process for the test that looks whether it ends."""
    with PIDS.open("a", encoding="ascii") as file:
        file.write(f"{os.getpid()} ")


@requirement("OF-ALL", title="About all GPUs", **ABOUT)
def test_about_all_gpus(evidence):
    time.sleep(0.1)
    assert evidence.record("pid", os.getpid(), source="kernel") == os.getpid()


@requirement("SHARED", title="What the GPUs share", alone=True, **ABOUT)
@on_each_gpu
def test_what_the_gpus_share(evidence, on):
    time.sleep(0.1)
    assert evidence.record("GPU", on, source="the plan") == on


@requirement("FAULT", title="Ends its process where it is to", takes_s=0.1, budget_s=3.0, **ABOUT)
@on_each_gpu
def test_ends_its_process_where_it_is_to(evidence, on, request):
    note()
    if f"dies-{on}" in FAULTS:
        os.kill(os.getpid(), signal.SIGKILL)
    if f"hangs-{on}" in FAULTS:
        child = subprocess.Popen(["sleep", "600"])
        PIDS.open("a", encoding="ascii").write(f"{child.pid} ")
        write_pid = f"import os, time; open({str(PIDS)!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(600)"
        command.run([sys.executable, "-c", write_pid], timeout_s=600)
    if f"lies-{on}" in FAULTS:
        _end_that_of(GPUS[-1], request)
    assert evidence.record("GPU", on, source="the plan") == on


def _end_that_of(other: str, request: pytest.FixtureRequest) -> None:
    """Say that the requirement of another lane has passed, over the channel that this lane has."""
    from dgxcert.outcome import Outcome
    from dgxcert.record import journal
    from dgxcert.runner import plugin

    session: Any = request.config.stash[plugin.SESSION]
    lie = journal.Finished(key=f"FAULT[{other}]", outcome=Outcome.PASSED, duration_s=0.1, child=session._brief.number)
    session._speaker.say(lie)


@requirement("BOUND", title="Has processors of its own", **ABOUT)
@on_each_gpu
def test_has_processors_of_its_own(evidence, on):
    mine = sorted(os.sched_getaffinity(0))
    evidence.record("processors", str(mine), source="sched_getaffinity")
    assert evidence.record("GPU", on, source="the plan") == on


@requirement("SLOW", title="Takes its time", budget_s=600.0, takes_s=SLOW_S, **ABOUT)
@on_each_gpu
@pytest.mark.parametrize("case", CASES)
def test_takes_its_time(evidence, on, case):
    note()
    time.sleep(SLOW_S)
    if MEETS is not None:
        Path(MEETS, f"{case}-{on}").touch()
        while len(list(Path(MEETS).glob(f"{case}-*"))) < len(GPUS):
            time.sleep(0.05)
    assert evidence.record("GPU", on, source="the plan") == on
