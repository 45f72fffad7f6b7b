"""A long load is kept in few points, and merging points hides no slowdown and no peak of temperature."""

import pytest

from dgxcert.machine import trace
from dgxcert.machine.trace import MAX_POINTS, Point


def points(number: int) -> list[Point]:
    return [Point(t=float(second), clock_mhz=2400.0, temperature_c=60.0) for second in range(number)]


@pytest.mark.parametrize(
    ("number", "kept"),
    [(0, 0), (1, 1), (MAX_POINTS, MAX_POINTS), (MAX_POINTS + 1, 121), (2 * MAX_POINTS, MAX_POINTS), (100_000, 240)],
)
def test_a_trace_has_at_most_as_many_points_as_a_plot_shows(number: int, kept: int) -> None:
    downsampled = trace.downsample(3, points(number))
    assert (downsampled.gpu, len(downsampled.points)) == (3, kept)
    assert kept <= MAX_POINTS


def test_few_points_are_kept_as_they_are() -> None:
    assert trace.downsample(0, points(9)).points == tuple(points(9))


def test_merged_points_keep_the_peak_and_the_shares() -> None:
    load = points(3 * MAX_POINTS)
    load[4] = Point(t=4.0, clock_mhz=208.0, power_w=300.0, temperature_c=97.0, hot=1.0, held_back=0.5)
    _, merged, following, *_ = trace.downsample(0, load).points
    assert (merged.t, merged.temperature_c, merged.clock_mhz) == (4.0, 97.0, 2400.0)
    assert (merged.power_w, merged.hot, merged.held_back) == (300.0, 1.0, 0.5), "of the points that have them"
    assert (following.temperature_c, following.hot) == (60.0, None)


def test_shares_are_means_of_the_interval() -> None:
    load = [Point(t=float(at), hot=float(at % 2 == 0), held_back=0.0) for at in range(4 * MAX_POINTS)]
    assert {(point.hot, point.held_back) for point in trace.downsample(0, load).points} == {(0.5, 0.0)}
