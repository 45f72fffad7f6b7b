"""The pages of the site: HTML without script, request or server, made of what `machines` has read. Pure.

Every text may be a stranger's: it is escaped, printable and cut to a length, and each list has an end.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dgxcert import report
from dgxcert.console import clipped, printable
from dgxcert.history import timeline
from dgxcert.history.listed_run import gpus
from dgxcert.judgement.units import OF_TIME
from dgxcert.judgement.verdict import Verdict
from dgxcert.record.figures import WANTED, Figure
from dgxcert.report import headline_figure
from dgxcert.report.headline_figure import HeadlineFigure
from dgxcert.report.html import TONES
from dgxcert.site import chart
from dgxcert.site.machines import Seen, SeenMachine, SeenRun, last_verdicts
from dgxcert.site.output import INDEX

HERE = Path(__file__).parent
SHARED_STYLES = [Path(report.__file__).parent / name for name in ("report.css", "cards.css")]
"""Shared with reports: palette, type, tables, and how a page prints."""

CELL_CHARS = 80
TEXT_CHARS = 400
MOST_RUNS = 500
"""Runs in the table of a machine's page: the latest."""
MOST_LINES = 200
"""Lines about folders that are no readable run."""
MOST_STEPS = 20
IN_INDEX = ("matmul", "memory-bandwidth", "prefill-16bit", "decode-16bit", "decode-32bit", "decode-4bit", "lora-steps")
"""The figures of a machine that the index has room for."""
SIGNS = {"good": "✔", "bad": "✘", "warn": "?", "other": "○"}
"""Beside the name of a verdict, never in its place."""


@dataclass(frozen=True)
class Course:
    """One figure over the runs of a machine."""

    label: str
    last: str
    """With its unit, whether it failed, and the day where that is not the last run's: `9.8 token/s, failed`."""
    about: str
    """`13.9 to 14.3 token/s in 12 runs`."""
    svg: Markup | None
    """None where it was measured once."""


def render(seen: Seen, now: datetime, *, verified: bool) -> dict[str, str]:
    """Every page by its file name. `verified` says whether signatures were verified at all."""
    environment = _environment(now, verified=verified)
    index, page = environment.get_template("index.html.j2"), environment.get_template("machine.html.j2")
    pages = {machine.page: _machine_page(page, machine) for machine in seen.machines}
    text = index.render(
        seen=seen,
        verdicts=last_verdicts(seen.machines),
        unreadable=seen.unreadable[:MOST_LINES],
        more_unreadable=len(seen.unreadable[MOST_LINES:]),
        unfinished=seen.unfinished[:MOST_LINES],
        more_unfinished=len(seen.unfinished[MOST_LINES:]),
    )
    return {**pages, INDEX: printable(text)}


def _environment(now: datetime, *, verified: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = "".join(path.read_text(encoding="utf-8") for path in (*SHARED_STYLES, HERE / "site.css"))
    environment.filters.update(
        cell=lambda value: clipped(str(value), CELL_CHARS),
        text=lambda value: clipped(str(value), TEXT_CHARS),
        moment=lambda value: clipped(str(value)[:16].replace("T", " "), CELL_CHARS),
        gpus=lambda products: clipped(gpus(products), CELL_CHARS),
        tone=lambda verdict: TONES[Verdict(verdict)],
    )
    environment.globals.update(
        stylesheet=Markup(style),  # noqa: S704 (our own files)
        now=f"{now:%Y-%m-%d %H:%M} UTC",
        verified=verified,
        signs=SIGNS,
        in_index=_in_index,
        index=INDEX,
    )
    return environment


def _in_index(run: SeenRun | None) -> list[HeadlineFigure]:
    return [headline_figure.shown(figure) for figure in run.line.figures if figure.name in IN_INDEX] if run else []


def _machine_page(template: Any, machine: SeenMachine) -> str:
    lines = [run.line for run in machine.runs]
    text = template.render(
        machine=machine,
        courses=_courses(machine.runs),
        steps=[step.description for step in timeline.all_steps(lines)[:MOST_STEPS]],
        runs=machine.runs[: -MOST_RUNS - 1 : -1],
        older=max(0, len(machine.runs) - MOST_RUNS),
    )
    return printable(text)


def _courses(runs: Sequence[SeenRun]) -> list[Course]:
    """Each figure that was ever measured over the runs, in the order of every report."""
    figures: dict[tuple[str, str, str], list[tuple[datetime, Figure]]] = {}
    for run in runs:
        moment = datetime.fromisoformat(run.line.started)
        for figure in run.line.figures:
            figures.setdefault((figure.name, figure.label, figure.unit), []).append((moment, figure))
    marks = [datetime.fromisoformat(run.line.started) for run in runs if _is_marked(run.changed)]
    known = {name: at for at, name in enumerate(each.name for each in WANTED)}
    ordered = sorted(figures, key=lambda key: (known.get(key[0], len(known)), key))
    latest = datetime.fromisoformat(runs[-1].line.started)
    return [_course(figures[key], marks, latest) for key in ordered]


def _is_marked(changed: Iterable[str]) -> bool:
    return any(change.startswith(timeline.MARKED) for change in changed)


def _course(measured: Sequence[tuple[datetime, Figure]], marks: Sequence[datetime], latest: datetime) -> Course:
    """One figure; `latest` is when the machine's last run began, which need not have measured it."""
    moment, figure = measured[-1]
    last = headline_figure.shown(figure)
    old = f", on {moment:%Y-%m-%d}" if moment < latest else ""
    now = f"{last.number} {last.unit}{', failed' if last.failed else ''}{old}"
    if len(measured) == 1:
        return Course(last.label, now, "measured in one run", None)
    scale = 100 if measured[-1][1].unit == OF_TIME else 1
    values = [scale * figure.value for _, figure in measured]
    least, most, middle = map(headline_figure.rounded, (min(values), max(values), statistics.median(values)))
    span = f"{least} to {most}, median {middle}, in" if least != most else f"{least} in each of"
    about = f"{span} {len(measured)} runs"
    points = [(moment, figure.value) for moment, figure in measured]
    return Course(last.label, now, about, chart.draw(points, marks))
