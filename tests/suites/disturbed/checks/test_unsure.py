"""A check that cannot decide at first, and one of what work leaves behind."""

import os
import time
from typing import Any

from dgxcert import requirement
from dgxcert.outcome import Inconclusive

REQUESTED = os.environ.get("DGXCERT_TEST_ASKS", "").split()

ABOUT: dict[str, Any] = {"why": "a run must end in the truth", "remedy": ("look",)}


@requirement("UNSURE", title="Unsure at first", **ABOUT)
def test_unsure_at_first(keeps, evidence):
    if "sleep-again" in REQUESTED and (keeps / "unsure").exists():
        time.sleep(600)
    if not (keeps / "unsure").exists():
        (keeps / "unsure").touch()
        raise Inconclusive("the meter warms up", "Wait.")
    assert evidence.record("warm", True, source="here").holds()


@requirement("AFTERMATH", title="Nothing is left behind", stage="after", **ABOUT)
def test_nothing_is_left_behind(evidence):
    evidence.record("nanoseconds", time.time_ns(), source="clock: different each time")
    assert evidence.record("clean", True, source="here").holds()
