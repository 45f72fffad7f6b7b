"""Pairs as graphs in inline SVG: machines as nodes, cables as edges, with the bandwidth that was measured at each."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from dgxcert.console import clipped, printable
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import PairResult

NAME_CHARS = 16
WIDTH, ROW = 320.0, 84.0
NODE_WIDTH, NODE_HEIGHT = 104.0, 28.0
MOST_NODES = 24
"""Machines of one graph; one with more is left to the table."""


@dataclass(frozen=True)
class Graph:
    """Machines that cables join, directly or through others."""

    hosts: tuple[str, ...]
    pairs: tuple[PairResult, ...]
    svg: Markup | None
    """None where there are too many machines to draw."""


def graphs(pairs: Sequence[PairResult]) -> list[Graph]:
    """The pairs of a room as graphs that are not joined with each other."""
    return [Graph(hosts, joined, _draw(hosts, joined)) for hosts, joined in _components(pairs)]


def _components(pairs: Iterable[PairResult]) -> list[tuple[tuple[str, ...], tuple[PairResult, ...]]]:
    groups: list[tuple[dict[str, None], list[PairResult]]] = []
    for pair in pairs:
        touched = [group for group in groups if set(pair.hosts) & set(group[0])]
        hosts = {host: None for group in touched for host in group[0]} | dict.fromkeys(pair.hosts)
        joined = [each for group in touched for each in group[1]] + [pair]
        groups = [group for group in groups if all(group is not other for other in touched)] + [(hosts, joined)]
    return [(tuple(hosts), tuple(joined)) for hosts, joined in groups]


def _draw(hosts: Sequence[str], pairs: Sequence[PairResult]) -> Markup | None:
    if len(hosts) > MOST_NODES:
        return None
    places, height = _places(hosts)
    edges = "".join(_edge(pair, places) for pair in pairs)
    nodes = "".join(_node(host, *places[host]) for host in hosts)
    return Markup(  # noqa: S704 (numbers, and names that are escaped)
        f'<svg class="pairs" viewBox="0 0 {WIDTH:.0f} {height:.0f}" aria-hidden="true" focusable="false">'
        f"{edges}{nodes}</svg>"
    )


def _places(hosts: Sequence[str]) -> tuple[dict[str, tuple[float, float]], float]:
    """The middle of each node, and the height of the picture: two side by side, more on an ellipse."""
    if len(hosts) <= 2:
        across = (NODE_WIDTH / 2 + 2, WIDTH - NODE_WIDTH / 2 - 2)
        return {host: (across[at], ROW / 2) for at, host in enumerate(hosts)}, ROW
    height = max(200.0, ROW * len(hosts) / 2)
    wide, tall = WIDTH / 2 - NODE_WIDTH / 2 - 2, height / 2 - NODE_HEIGHT
    turns = [2 * math.pi * at / len(hosts) - math.pi / 2 for at in range(len(hosts))]
    middle = (WIDTH / 2, height / 2)
    spots = [(middle[0] + wide * math.cos(turn), middle[1] + tall * math.sin(turn)) for turn in turns]
    return dict(zip(hosts, spots, strict=True)), height


def _edge(pair: PairResult, places: dict[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = (places[host] for host in pair.hosts)
    kind = {Outcome.PASSED: "good", Outcome.FAILED: "bad"}.get(pair.outcome, "warn")
    line = f'<line class="edge is-{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
    across, up = (x1 + x2) / 2, (y1 + y2) / 2
    return f'{line}<text class="is-{kind}" x="{across:.1f}" y="{up - 5:.1f}">{escape(label(pair))}</text>'


def label(pair: PairResult) -> str:
    """What is written at the edge of a pair: its bandwidth, and a sign where it did not pass.

    >>> label(PairResult(hosts=("a", "b"), says="b was not reached"))
    '? untested'
    """
    speed = "" if pair.gbs is None else f"{pair.gbs:.3g} GB/s"
    words = {Outcome.PASSED: "", Outcome.FAILED: "✘", Outcome.NOT_APPLICABLE: "no limits"}
    word = words.get(pair.outcome, "?" if pair.results else "? untested")
    return " ".join(filter(None, (word, speed))) or "✔"


def _node(host: str, x: float, y: float) -> str:
    box = (
        f'<rect x="{x - NODE_WIDTH / 2:.1f}" y="{y - NODE_HEIGHT / 2:.1f}" width="{NODE_WIDTH:.0f}" '
        f'height="{NODE_HEIGHT:.0f}" rx="6"/>'
    )
    return f'{box}<text x="{x:.1f}" y="{y + 4:.1f}">{escape(printable(clipped(host, NAME_CHARS)))}</text>'
