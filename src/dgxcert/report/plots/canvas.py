"""The canvas: matplotlib's SVG, the same bytes each time, in the page's colours, with words for who cannot see it."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

from dgxcert.report.words import printable

INK, FAINT, GOOD, BAD, WARN, ACCENT, OTHER = (f"#0a0b0{digit}" for digit in range(1, 8))
"""Colours to draw with. None of them is seen: the page's own take their place."""
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    WARN: "var(--warn)",
    ACCENT: "var(--accent)",
    OTHER: "var(--other)",
}
STYLE: dict[str, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "dgxcert",
    "font.size": 9.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.4,
}

LABEL = 44
"""Characters beside an axis."""


@dataclass(frozen=True)
class Plot:
    """One picture: `name` is unique on its page, `alternative` says in words what it shows."""

    name: str
    title: str
    alternative: str
    svg: str


def draw(name: str, size: tuple[float, float], onto: Callable[[Any], None]) -> str:
    """An SVG element without any address in it; `size` is in inches, `onto` draws onto a matplotlib Figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {**mpl.rcParamsDefault, "backend": "svg", **STYLE}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # it draws none: whoever looks at the page brings the font
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        onto(figure)
        written = StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    return _inline(name, written.getvalue())


def _inline(name: str, document: str) -> str:
    """The element as a page holds it: ids of its own, the page's colours and font, no addresses, hidden from readers.

    What is read out in its place are the words beside it.
    """
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'\sxlink:href="', ' href="', svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: [^;\"]*?(\d+(\.\d+)?)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r'\b(?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found.group()), svg)
    svg = re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    return re.sub(r"#0a0b0[1-7]", lambda found: VARIABLES[found.group()], svg)


def label(text: str) -> str:
    """Text beside an axis: printable, on one line, and short enough to leave room for the picture."""
    line = printable(text).replace("\n", " ")
    return line if len(line) <= LABEL else line[: LABEL - 1] + "…"
