"""Throttling is shaded once for each interval, and a run without samples has no plot."""

import pytest
from suites.certified import load
from suites.example import finished, opened, planned

from dgxcert.machine.trace import Trace
from dgxcert.record import run as runs
from dgxcert.report.plots import traces


def test_throttling_is_shaded_once_for_each_interval() -> None:
    points = load(200, held=lambda t: 500 <= t < 600 or 1000 <= t < 1100).points
    axis = traces.TimeAxis(points[0].t, "minutes", 60.0)
    first, second = traces._intervals([points], "held_back", axis, 0.0)
    assert first == (pytest.approx(50 / 60, abs=0.03), pytest.approx(60 / 60, abs=0.03))
    assert second == (pytest.approx(100 / 60, abs=0.03), pytest.approx(110 / 60, abs=0.03))
    assert len(traces._intervals([points], "held_back", axis, 1.0)) == 1, "intervals that touch are one"


def test_a_run_without_samples_has_no_plot() -> None:
    assert traces.plots(runs.assemble([opened(planned("A")), finished("A")], "run")) == []


def captions(*loads: Trace) -> str:
    (plot,) = traces.plots(
        runs.assemble([opened(planned("GPU-THERMAL")), finished("GPU-THERMAL", traces=loads)], "run")
    )
    return plot.alternative + plot.svg


def test_the_caption_counts_slowdowns_and_names_a_colour_only_where_it_is_drawn() -> None:
    cool = load(4).model_copy(update={"points": tuple(each.model_copy(update={"hot": 0.0}) for each in load(4).points)})
    said = captions(cool)
    assert f"Neither slowed down for heat nor limited by power in any of {len(cool.points)} intervals." in said
    assert "(red)" not in said
    assert "(amber)" not in said
    capped = load(12, held=lambda t: t < 50)
    hot = sum(bool(point.hot) for point in capped.points)
    limited = sum(bool(point.held_back) for point in capped.points)
    assert 0 < hot < limited < len(capped.points)
    assert f"it was slowed down for heat in {hot} (red) and limited by power in {limited} (amber)." in captions(capped)


def test_what_the_driver_does_not_report_is_not_called_well() -> None:
    silent = tuple(each.model_copy(update={"hot": None, "held_back": None}) for each in load(4).points)
    said = captions(load(4).model_copy(update={"points": silent}))
    assert "The driver does not report whether it was slowed down." in said
    assert "Neither" not in said


def test_a_short_load_is_shown_in_seconds_and_a_quantity_that_stays_as_one_number() -> None:
    steady = tuple(each.model_copy(update={"clock_mhz": 780.0}) for each in load(4).points)
    said = captions(load(4).model_copy(update={"points": steady}))
    assert "clock 780 MHz, power 8" in said
    assert "seconds since the start of the run" in said
    assert "minutes since the start of the run" in captions(load(150))
