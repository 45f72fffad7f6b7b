"""A check before the work that only the work decides, the work, and a check of what it leaves behind."""

import os
from typing import Any

from dgxcert import requirement
from dgxcert.outcome import AfterWork, Inconclusive

REQUESTED = os.environ.get("DGXCERT_TEST_ASKS", "").split()

ABOUT: dict[str, Any] = {"why": "a run must end in the truth", "remedy": ("look",)}


@requirement("DOUBTED", title="Doubted at first", stage="host", **ABOUT)
def test_doubted_at_first(computation, evidence):
    evidence.record("last doubt", 310.1, unit="s", source="here")
    if ("DOUBTED", "last doubt") not in computation.before:
        raise AfterWork("a line that may be a fault", "Run it all.")
    if missing := computation.missing("COMPUTES"):
        raise Inconclusive(f"nothing decides: {missing}", "Run it all.")
    assert evidence.record("decided", True, source="here").holds()


@requirement("COMPUTES", title="The device computes", **ABOUT)
def test_the_device_computes(evidence):
    assert evidence.record("right", "wrong" not in REQUESTED, source="here").holds()


@requirement("AFTERMATH", title="Nothing is left behind", stage="after", **ABOUT)
def test_nothing_is_left_behind(evidence):
    assert evidence.record("clean", True, source="here").holds()
