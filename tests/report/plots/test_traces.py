"""Throttling is shaded once for each interval, and a run without samples has no plot."""

import pytest
from suites.certified import load
from suites.example import finished, opened, planned

from dgxcert.record import run as runs
from dgxcert.report.plots import traces


def test_throttling_is_shaded_once_for_each_interval() -> None:
    points = load(200, held=lambda t: 500 <= t < 600 or 1000 <= t < 1100).points
    first, second = traces._intervals([points], "held_back", points[0].t, 0.0)
    assert first == (pytest.approx(50 / 60, abs=0.03), pytest.approx(60 / 60, abs=0.03))
    assert second == (pytest.approx(100 / 60, abs=0.03), pytest.approx(110 / 60, abs=0.03))
    assert len(traces._intervals([points], "held_back", points[0].t, 1.0)) == 1, "intervals that touch are one"


def test_a_run_without_samples_has_no_plot() -> None:
    assert traces.plots(runs.assemble([opened(planned("A")), finished("A")], "run")) == []
