"""The time left is within 30 % of the truth at the half of runs kept from GPUs, by declared durations."""

import importlib
import sys
from typing import Any

import pytest
from paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
bench_estimate, replayed_run = (importlib.import_module(name) for name in ("bench_estimate", "replayed_run"))
sys.path.remove(str(ROOT / "scripts"))

KEPT = ("2026-11-26-h200", "2026-11-27-h200/first", "2026-11-27-h200/second")
HALF = bench_estimate.SHARES.index(0.5)


@pytest.fixture(scope="module")
def catalogue() -> Any:
    return replayed_run.catalogue()


@pytest.mark.parametrize("name", KEPT)
def test_declared_durations_are_within_30_percent_at_the_half_of_a_run(catalogue: Any, name: str) -> None:
    run = replayed_run.read(replayed_run.MEASUREMENTS / name)
    assert abs(bench_estimate.errors(run, {}, catalogue)[HALF]) <= 0.3


@pytest.mark.parametrize("name", KEPT)
def test_a_run_that_repeats_itself_is_foretold_exactly(catalogue: Any, name: str) -> None:
    run = replayed_run.read(replayed_run.MEASUREMENTS / name)
    assert max(map(abs, bench_estimate.errors(run, bench_estimate.durations(run), catalogue))) <= 0.06


def test_durations_that_are_wrong_for_half_of_a_run_are_noticed(catalogue: Any) -> None:
    run = replayed_run.read(replayed_run.MEASUREMENTS / KEPT[1])
    ended = replayed_run.endings(run)
    known = {each.key: each.took_s * (3.0 if number > len(ended) // 2 else 1.0) for number, each in enumerate(ended)}
    assert bench_estimate.errors(run, known, catalogue)[HALF] > 0.3
