"""matplotlib as inline SVG: the same bytes each time, in the page's own colours, without identifiers that clash."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

INK, FAINT, GOOD, BAD, WARN, ACCENT, OTHER = (f"#0a0b0{digit}" for digit in range(1, 8))
"""Placeholders: matplotlib takes no CSS variables, so each is replaced by one of VARIABLES in the finished SVG."""
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
    "text.parse_math": False,  # a `$` in the name of a machine is no formula
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the font of the page
    "svg.hashsalt": "dgxcert",  # otherwise element ids are random, and no two renderings equal
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

WIDTH = 4.05
"""Width of every plot in inches. A phone of 390 px shows it in 358, where its text of 9 points is 11 px high; a wider
page scales it up to a column."""


@dataclass(frozen=True)
class Plot:
    """A plot: `name` is unique on its page, `alternative` is the text for those who cannot see it."""

    name: str
    title: str
    alternative: str
    svg: str


def draw(name: str, size: tuple[float, float], onto: Callable[[Any], None]) -> str:
    """An `<svg>` element without any URL in it; `size` is in inches, `onto` draws on a matplotlib Figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {**mpl.rcParamsDefault, "backend": "svg", **STYLE}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # glyphs missing from its font: the browser draws the text
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        onto(figure)
        document = StringIO()
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # a date would differ each time
        figure.savefig(document, format="svg", transparent=True, metadata=no_metadata)
    return _inline(name, document.getvalue())


def _inline(name: str, document: str) -> str:
    """The `<svg>` element of an SVG document, adapted for embedding in an HTML page."""
    svg = document[document.index("<svg") :]  # without the XML declaration and the doctype
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'\sxlink:href="', ' href="', svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)  # ids must be unique on the page
    svg = re.sub(r"font: [^;\"]*?(\d+(\.\d+)?)px [^;\"]*", r"font-size: \1px", svg)
    # Two decimals of a point are finer than any screen, and keep the file small.
    svg = re.sub(r'\b(?:d|x|y)="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match.group()), svg)
    # The element around it has role="img" and the text alternative; a screen reader must not read tick labels as well.
    svg = re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    return re.sub(r"#0a0b0[1-7]", lambda match: VARIABLES[match.group()], svg)
