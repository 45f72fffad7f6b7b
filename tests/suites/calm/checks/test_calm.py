"""A suite that passes, fails, takes long, or fills the disk, as the environment variable DGXCERT_TEST_ASKS requests."""

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

from dgxcert import requirement

REQUESTED = os.environ.get("DGXCERT_TEST_ASKS", "").split()

ABOUT: dict[str, Any] = {"why": "a run must end in the truth", "remedy": ("look",)}


@requirement("FIRST", title="First", **ABOUT)
def test_first(benchmark, evidence):
    benchmark.pedantic(lambda: None, rounds=3)
    evidence.record("nanoseconds", time.time_ns(), source="clock: different each time")
    assert evidence.record("as requested", "fail" not in REQUESTED, source="environment").holds()


@requirement("LONG", title="Long", **ABOUT)
def test_long(evidence):
    if "defy" in REQUESTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        evidence.say("defies")
    if "sleep" in REQUESTED:
        time.sleep(600)
    if "nap" in REQUESTED:
        time.sleep(2)
    assert evidence.record("awake", True, source="here").holds()


@requirement("DISK", title="Disk", **ABOUT)
def test_disk(request, evidence):
    if "full" in REQUESTED:
        size = (Path(request.config.getoption("--dgxcert-inside")).parent / "records.jsonl").stat().st_size
        # Of the supervisor, which alone writes the record; it writes the run's last files once that is lifted.
        resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
    assert evidence.record("written", True, source="here").holds()
