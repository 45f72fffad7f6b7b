"""Requirements that misbehave inside a container: each must cost itself and nothing else."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from dgxcert import requirement

ABOUT: dict[str, Any] = {"why": "training stops", "remedy": ("Look at it.",), "takes_s": 0.1}

GO = Path("/results/go")
"""WAITS ends once this file exists, which the test outside the container makes."""


@requirement("HOST-FIRST", title="The host is checked first", **ABOUT, stage="host")
def test_the_host_is_checked_first(evidence):
    assert evidence.record("base", os.environ.get("DGXCERT_BASE_IMAGE", "none"), source="set in the image") == "none"


@requirement("IMAGE-SECOND", title="The image is checked from the host", **ABOUT, stage="image")
def test_the_image_is_checked_from_the_host(image, evidence):
    assert evidence.record("stack", image.stack, source=image.id) == "tiny"


@requirement("INSIDE", title="The work is done in the container", **ABOUT)
def test_the_work_is_done_in_the_container(evidence):
    base = evidence.record("base", os.environ.get("DGXCERT_BASE_IMAGE", "none"), source="set in the image")
    assert base == "dgxcert-standin:amd64"


@requirement("HANGS", title="It hangs and ignores signals", **ABOUT, budget_s=3)
def test_it_hangs_and_ignores_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


@requirement("CRASHES", title="It crashes", **ABOUT)
def test_it_crashes():
    os.kill(os.getpid(), signal.SIGSEGV)


@requirement("KILLED", title="It is killed", **ABOUT)
def test_it_is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


@requirement("WAITS", title="It takes as long as the test wants", **ABOUT, budget_s=100)
def test_it_takes_as_long_as_the_test_wants(evidence):
    while not GO.exists():
        time.sleep(0.1)
    assert evidence.record("one", 1, source="in the container") == 1
