"""Benchmarks that meet neighbours, each for another number of attempts, and then reach the rate that is asked for."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dgxcert import requirement
from dgxcert.outcome import DISTURBED, UNEXPLAINED, Disturbed

REQUESTED = os.environ.get("DGXCERT_TEST_ASKS", "").split()

ABOUT: dict[str, Any] = {"why": "a run must end in the truth", "remedy": ("look",)}
CASES = {"quiet": (0, DISTURBED), "once": (1, DISTURBED), "always": (9, DISTURBED), "unexplained": (9, UNEXPLAINED)}
"""How many attempts are disturbed, and how many repeats each of them allows."""


@requirement("RATE", title="The rate is reached", **ABOUT)
@pytest.mark.parametrize("case", [name for name in CASES if name in ("quiet", "once") or name in REQUESTED])
def test_the_rate_is_reached(benchmark, keeps, evidence, case):
    attempt = _count(keeps / case)
    benchmark.pedantic(lambda: None, rounds=3)
    benchmark.extra_info.update({"requirement": evidence.key, "amount": float(attempt)})
    rate = evidence.record("rate", float(attempt), unit="step/s", source=f"attempt {attempt}", rounds_s=(1.0, 1.0, 1.0))
    disturbed, repeats = CASES[case]
    if attempt <= disturbed:
        raise Disturbed(
            f"rounds spread {6 - attempt}41%, other processes used 61% of the CPU", "Stop.", repeats=repeats
        )
    if "sleep" in REQUESTED and attempt > 1:
        time.sleep(600)
    slow = "slow" in REQUESTED and case == "once"
    assert evidence.record("fast", not slow, source=repr(rate)).holds()


def _count(path: Path) -> int:
    """Counts the attempts of a case in a file."""
    attempt = int(path.read_text(encoding="ascii")) + 1 if path.exists() else 1
    path.write_text(str(attempt), encoding="ascii")
    return attempt
