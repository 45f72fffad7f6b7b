"""A figure over time as inline SVG, in the page's own colours: small enough to draw thousands of them in a second."""

import statistics
from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

WIDTH, HEIGHT, MARGIN = 320.0, 84.0, 6.0
MOST_POINTS = 400
"""Points that are drawn: more are closer together than the pixels of a screen. The latest are kept."""
LEAST_SPAN = 0.1
"""The axis spans at least this share of the median, so that a scatter of 1 % does not look like a mountain."""

Point = tuple[datetime, float]


def draw(points: Sequence[Point], marks: Sequence[datetime] = ()) -> Markup:
    """An `<svg>` of a figure over time, its points joined, with a dotted line at each moment of `marks`.

    It carries no text: the page says beside it what it shows.
    """
    shown = points[-MOST_POINTS:]
    low, high = bounds([value for _, value in shown])
    begin, end = shown[0][0], shown[-1][0]
    seconds = (end - begin).total_seconds()

    def x(moment: datetime) -> float:
        share = (moment - begin).total_seconds() / seconds if seconds > 0 else 1.0
        return MARGIN + share * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    places = [(x(moment), y(value)) for moment, value in shown]
    line = " ".join(f"{across:.1f},{up:.1f}" for across, up in places)
    lines = "".join(
        f'<line class="mark" x1="{x(moment):.1f}" x2="{x(moment):.1f}" y1="0" y2="{HEIGHT:.0f}"/>'
        for moment in marks[-MOST_POINTS:]
        if begin < moment <= end
    )
    dots = "".join(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.2"/>' for across, up in places[-60:])
    return Markup(  # noqa: S704 (numbers alone)
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" aria-hidden="true" focusable="false">'
        f'{lines}<polyline points="{line}"/>{dots}</svg>'
    )


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The values at the lower and the upper end of the axis.

    >>> [round(end, 2) for end in bounds([100.0, 101.0])]
    [95.47, 105.53]
    >>> bounds([10.0, 30.0])
    (10.0, 30.0)
    >>> bounds([0.0])
    (-0.5, 0.5)
    """
    low, high = min(values), max(values)
    least = LEAST_SPAN * abs(statistics.median(values)) or 1.0
    if high - low >= least:
        return low, high
    middle = (low + high) / 2
    return middle - least / 2, middle + least / 2
