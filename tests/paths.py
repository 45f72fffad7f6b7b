"""Where the checkout's own folders lie, whichever folder a test is in."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
CHECKS = ROOT / "checks"
BENCHMARKS = ROOT / "benchmarks"
RECORDED = TESTS / "recorded"
