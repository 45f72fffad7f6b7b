"""A strip plot as inline SVG: one dot for each machine, in the page's own colours."""

from collections.abc import Sequence

from markupsafe import Markup

from dgxcert.record.room.document import Compared

WIDTH, HEIGHT, MARGIN, BASE = 640.0, 34.0, 10.0, 17.0
LANES = (0.0, -4.0, 4.0, -8.0, 8.0)
"""How far dots that would lie on each other stand above and below the middle, in pixels."""
DOT = 6.0
LEAST_SPAN = 0.1
"""The axis spans at least this share of the median, so that a scatter of 1 % does not look like a mountain."""


def draw(compared: Compared) -> Markup:
    """An `<svg>` of one quantity over the machines: a dot each, the median as a line, the limit as a dashed one.

    An outlier is a large diamond. It carries no text: the page says beside it what it shows.
    """
    low, high = bounds([*compared.values.values(), compared.median, compared.limit])
    apart = {outlier.host for outlier in compared.outliers}

    def x(value: float) -> float:
        return MARGIN + (value - low) / (high - low) * (WIDTH - 2 * MARGIN)

    usual = places([x(value) for host, value in compared.values.items() if host not in apart])
    dots = "".join(f"M{across:.0f} {BASE + up:.0f}h0" for across, up in usual)
    diamonds = "".join(_diamond(x(compared.values[host])) for host in compared.values if host in apart)
    lines = "".join(
        f'<line class="{name}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="2" y2="{HEIGHT - 2:.0f}"/>'
        for name, value in (("limit", compared.limit), ("median", compared.median))
    )
    axis = f'<line class="axis" x1="0" x2="{WIDTH:.0f}" y1="{BASE:.0f}" y2="{BASE:.0f}"/>'
    return Markup(  # noqa: S704 (numbers alone)
        f'<svg class="strip" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" aria-hidden="true" focusable="false">'
        f'{axis}{lines}<path class="dots" d="{dots}"/>{diamonds}</svg>'
    )


def _diamond(across: float) -> str:
    return f'<path class="outlier" d="M{across:.1f} {BASE - 8:.0f}l8 8l-8 8l-8 -8z"/>'


def places(across: Sequence[float]) -> list[tuple[int, float]]:
    """Where dots are drawn so that few hide another: across, and how far from the middle. Dots on one place are one.

    >>> places([10.2, 10.4, 40.0])
    [(10, 0.0), (10, -4.0), (40, 0.0)]
    """
    drawn: dict[int, int] = {}
    found: dict[tuple[int, float], None] = {}
    for value in sorted(across):
        column = round(value / DOT)
        lane = LANES[drawn.get(column, 0) % len(LANES)]
        drawn[column] = drawn.get(column, 0) + 1
        found[round(value), lane] = None
    return list(found)


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The values at the left and the right end of the axis.

    >>> [round(end, 2) for end in bounds([100.0, 101.0])]
    [95.47, 105.53]
    >>> bounds([0.0])
    (-0.5, 0.5)
    """
    low, high = min(values), max(values)
    middle = (low + high) / 2
    least = LEAST_SPAN * abs(middle) or 1.0
    half = max(high - low, least) / 2
    return middle - half, middle + half
