"""A figure over time: drawn within its frame, whatever the values and dates."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from dgxcert.site import chart

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def points(*values: float) -> list[chart.Point]:
    return [(BEGAN + timedelta(days=at), value) for at, value in enumerate(values)]


def places(svg: str) -> list[tuple[float, float]]:
    (line,) = re.findall(r'polyline points="([^"]*)"', svg)
    return [(float(across), float(up)) for across, up in (point.split(",") for point in line.split())]


@pytest.mark.parametrize(
    "values",
    [(1.0,), (1.0, 1.0), (0.0, 0.0), (-5.0, 5.0), (9e17, -9e17), (1e-12, 2e-12), tuple(map(float, range(2000)))],
)
def test_every_point_is_within_the_frame(values: tuple[float, ...]) -> None:
    found = places(chart.draw(points(*values)))
    assert len(found) == min(len(values), chart.MOST_POINTS)
    assert all(0 <= across <= chart.WIDTH and 0 <= up <= chart.HEIGHT for across, up in found)


def test_higher_is_higher_and_later_is_further_right() -> None:
    (first, low), (second, high), (third, middle) = places(chart.draw(points(10.0, 30.0, 20.0)))
    assert first < second < third
    assert high < middle < low, "an SVG counts from its upper edge"


def test_runs_of_one_moment_are_drawn() -> None:
    assert len(places(chart.draw([(BEGAN, 1.0), (BEGAN, 2.0)]))) == 2


def test_changes_are_marked_between_the_first_and_the_last_run() -> None:
    marks = [BEGAN - timedelta(days=1), BEGAN, BEGAN + timedelta(days=1), BEGAN + timedelta(days=9)]
    assert chart.draw(points(1.0, 2.0, 3.0), marks).count('class="mark"') == 1


def test_a_small_scatter_does_not_fill_the_frame() -> None:
    heights = [up for _, up in places(chart.draw(points(100.0, 100.5, 99.5)))]
    assert max(heights) - min(heights) < 0.2 * chart.HEIGHT
