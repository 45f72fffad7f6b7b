"""A suite whose first requirement ends in a CUDA error, after which every CUDA call of its process fails."""

import os
from typing import Any

from dgxcert import requirement

ABOUT: dict[str, Any] = {"why": "a run must end in the truth", "remedy": ("look",)}


@requirement("POISONS", title="Poisons", **ABOUT)
def test_poisons():
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


@requirement("AFTER", title="After", **ABOUT)
def test_after(evidence):
    evidence.record("process", os.getpid(), source="here")
    assert evidence.record("awake", True, source="here").holds()
