"""Paths of the checkout's folders."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
CHECKS = ROOT / "checks"
BENCHMARKS = ROOT / "benchmarks"
RECORDED = TESTS / "recorded"
