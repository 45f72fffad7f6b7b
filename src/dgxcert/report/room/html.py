"""room.html: a room as one page that runs no script and makes no network request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dgxcert import report
from dgxcert.console import clipped, printable
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import Compared, HostResult, Room
from dgxcert.report.headline_figure import rounded
from dgxcert.report.html import SIGNS, TONES
from dgxcert.report.room import graph, strip, words
from dgxcert.report.words import percent

HERE = Path(__file__).parent
REPORTS = Path(report.__file__).parent
STYLES = (REPORTS / "report.css", REPORTS / "cards.css", HERE / "room.css")

CELL_CHARS, TEXT_CHARS = 80, 600
IN_TABLE = ("matmul", "memory-bandwidth", "prefill-16bit", "decode-16bit", "decode-32bit", "decode-4bit", "lora-steps")
"""The figures of a machine that the table has room for."""
MOST_HOSTS = 1000
"""Machines in the table, the worst first: those after them passed, and are counted."""
MOST_STRIPS = 200
"""Quantities that are drawn: those with outliers come first."""
MOST_LINES = 300
MARKS = {"good": "✔", "bad": "✘", "warn": "?", "other": "○"}
"""Beside the name of a verdict, never in its place."""
OUTCOMES = {Outcome.PASSED: "good", Outcome.FAILED: "bad", Outcome.INCONCLUSIVE: "warn"}


@dataclass(frozen=True)
class Strip:
    """One quantity over the machines of a profile."""

    compared: Compared
    svg: Markup
    about: str
    """`79.1 to 81.0 TFLOP/s on 30 machines, median 80.2; outliers are below 76`."""


def render(room: Room) -> str:
    """The whole page. The same room gives the same bytes."""
    hosts = sorted(room.hosts, key=words.urgency)
    strips = _strips(room.compared)
    page = (
        _environment()
        .get_template("room.html.j2")
        .render(
            room=room,
            counts=words.counts(room),
            meaning=words.meaning(room),
            hosts=hosts[:MOST_HOSTS],
            more_hosts=len(hosts[MOST_HOSTS:]),
            spreads=words.spreads(room),
            profiles=list(dict.fromkeys(host.profile for host in room.hosts if host.profile)),
            outliers=words.outliers(room)[:MOST_LINES],
            strips=[each for each in strips if each.compared.outliers],
            usual=[each for each in strips if not each.compared.outliers],
            omitted_strips=max(0, len(room.compared) - MOST_STRIPS),
            graphs=graph.graphs(room.pairs),
        )
    )
    return printable(page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        cell=lambda value: clipped(str(value), CELL_CHARS),
        text=lambda value: clipped(str(value), TEXT_CHARS),
        moment=lambda value: f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M}",
        named=words.named,
        number=rounded,
        percent=percent,
        problem=words.problem,
        link=link,
        tone=tone,
    )
    style = "".join(path.read_text(encoding="utf-8") for path in STYLES)
    environment.globals.update(
        stylesheet=Markup(style),  # noqa: S704 (our own files)
        marks=MARKS,
        signs=SIGNS,
        standing=words.standing,
        pair_name=words.pair_name,
        pair_tone=lambda pair: OUTCOMES.get(pair.outcome, "other"),
        in_table=lambda host: [figure for figure in host.figures if figure.name in IN_TABLE],
        most_lines=MOST_LINES,
    )
    return environment


def tone(host: HostResult) -> str:
    """The tone in which a host's standing is shown: that of its verdict, and `bad` where it was not validated."""
    return TONES[host.verdict] if host.validated and host.verdict else "bad"


def link(host: HostResult) -> str:
    """Where a machine's own report is, relative to the page; "" where there is none.

    >>> from dgxcert.record.room.word import Word
    >>> link(HostResult(name="a", address="a", word=Word.VALIDATED, run="spark 1/run"))
    'spark%201/run/report.html'
    """
    return f"{quote(host.run)}/report.html" if host.run else ""


def _strips(compared: Sequence[Compared]) -> list[Strip]:
    ordered = sorted(compared, key=lambda each: not each.outliers)
    return [Strip(each, strip.draw(each), _about(each)) for each in ordered[:MOST_STRIPS]]


def _about(compared: Compared) -> str:
    values, unit = compared.values.values(), f" {compared.unit}" if compared.unit else ""
    side = "below" if compared.higher_is_better else "above"
    return (
        f"{rounded(min(values))} to {rounded(max(values))}{unit} on {len(values)} machines, "
        f"median {rounded(compared.median)}; an outlier is {side} {rounded(compared.limit)}"
    )
