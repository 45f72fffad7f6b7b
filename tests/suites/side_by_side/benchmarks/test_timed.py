"""What is timed: on each GPU beside the others, disturbed once where it is to be; and for the whole machine, alone."""

import os
from pathlib import Path
from typing import Any

import pytest

from dgxcert import requirement
from dgxcert.outcome import DISTURBED, Disturbed

COUNT, *FAULTS = os.environ.get("DGXCERT_TEST_ASKS", "").split() or ["2"]
GPUS = [f"gpu{index}" for index in range(int(COUNT))]
SEEN = Path(os.environ.get("DGXCERT_TEST_PIDS", os.devnull))

ABOUT: dict[str, Any] = {"why": "a disturbed benchmark is measured again", "remedy": ("look",)}


@requirement("TIMED", title="Is timed on each GPU", **ABOUT)
@pytest.mark.parametrize("on", GPUS, ids=GPUS)
def test_is_timed_on_each_gpu(benchmark, evidence, on):
    benchmark.pedantic(lambda: None, rounds=3)
    met = SEEN.with_name(f"disturbed-{on}")
    if f"disturbs-{on}" in FAULTS and not met.exists():
        met.touch()
        raise Disturbed("a neighbour was there", repeats=DISTURBED)
    assert evidence.record("GPU", on, source="the plan") == on


@requirement("DISK", title="The one disk is timed once", **ABOUT)
def test_the_one_disk_is_timed_once(benchmark, evidence):
    benchmark.pedantic(lambda: None, rounds=3)
    assert evidence.record("disks", 1, source="this suite") == 1
