"""report.html: a run to look at, in one file that asks no network for anything and runs no script."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dgxcert.judgement.evidence import Comparison, Evidence, quantity
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.plots import past, roofline, rounds, shares, traces
from dgxcert.report.plots.canvas import Plot
from dgxcert.report.words import (
    WEIGHTS,
    headline,
    keys,
    left_out,
    meaning,
    rehearse_hint,
    required,
    shortened,
    troubles,
    waived,
)

HERE = Path(__file__).parent
PAGE, PIECES, LOOK = "report.html.j2", "pieces.html.j2", "report.css"

PLOT_BYTES = 700_000
TROUBLE_BYTES = 150_000
ROW_BYTES = 450_000
NOTE_BYTES = 30_000
"""Room for each part: the whole stays under 1.5 MB, so that it can be sent and opened anywhere."""
LONGEST = 4000
"""Characters of one text; a log line of megabytes helps nobody here."""
CELL = 300
BRIEF = 200
"""Requirements that are named on paper, what is wrong first."""

SIGNS = {
    Outcome.PASSED: "✔",
    Outcome.FAILED: "✘",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_APPLICABLE: "-",
    Outcome.NOT_RUN: "○",
}
"""Beside a word, never in place of one."""
TONES = {
    Verdict.CERTIFIED: "good",
    Verdict.REHEARSED: "good",
    Verdict.PARTIAL: "other",
    Verdict.REJECTED: "bad",
    Verdict.INCONCLUSIVE: "warn",
}
FIRST = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN, Outcome.PASSED, Outcome.NOT_APPLICABLE)
"""In this order there is room for details: what is wrong is never cut for what is right."""


@dataclass(frozen=True)
class Fitted:
    """Rendered pieces for which there was room, and how many were left out."""

    pieces: tuple[Markup, ...]
    left: int


def render(run: Run) -> str:
    """The whole page. The same run gives the same bytes, whenever and wherever it is rendered."""
    environment = _environment()
    parts: Any = environment.get_template(PIECES).module
    wanted = [result for result in run.results if result.wanted]
    details = _fitting(_by_urgency(run.results), parts.details, ROW_BYTES)
    shown = {result.key for result in _by_urgency(run.results)[: len(details.pieces)]}
    brief = [result for result in _by_urgency(wanted) if result.outcome is not Outcome.NOT_APPLICABLE]
    plots, no_room = _plots(run)
    groups: dict[str, list[Markup]] = {}
    for result, piece in zip(_by_urgency(run.results), details.pieces, strict=False):
        groups.setdefault(result.group, []).append(piece)
    return environment.get_template(PAGE).render(
        run=run,
        tone=TONES[run.judgement.verdict],
        meaning=meaning(run),
        weights=WEIGHTS[run.options.weights],
        hint=rehearse_hint(run),
        troubles=_fitting(troubles(run), parts.trouble, TROUBLE_BYTES),
        waived=waived(run)[:100],
        left_out=left_out(run),
        about=_about(run),
        plots=plots,
        no_room=no_room,
        steps=past.told(run)[:20],
        groups=groups,
        beyond=[result for result in run.results if result.key not in shown],
        brief=brief[:BRIEF],
        brief_left=len(brief[BRIEF:]),
        notes=_fitting(run.notes, parts.note, NOTE_BYTES),
        look=Markup((HERE / LOOK).read_text(encoding="utf-8")),  # noqa: S704 (our own file)
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        text=lambda value: shortened(str(value), LONGEST),
        cell=lambda value: shortened(str(value), CELL),
        quantity=_quantity,
        held=_held,
        headline=lambda result: shortened(headline(result.evidence), CELL),
        required=lambda result: shortened(required(result.evidence), CELL),
        keys=lambda results: shortened(keys(results), LONGEST),
        svg=lambda plot: Markup(plot.svg),  # noqa: S704 (matplotlib escapes what it writes)
    )
    environment.globals.update(signs=SIGNS, outcomes=Outcome)
    return environment


def _fitting(items: Sequence[Any], shown: Callable[[Any], Markup], room_bytes: int) -> Fitted:
    pieces: list[Markup] = []
    for item in items:
        piece = shown(item)
        room_bytes -= len(piece.encode())
        if room_bytes < 0:
            break
        pieces.append(piece)
    return Fitted(tuple(pieces), len(items) - len(pieces))


def _by_urgency(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: FIRST.index(result.outcome))


def _plots(run: Run) -> tuple[list[Plot], list[str]]:
    """The pictures for which there is room, in order of use, and the titles of those for which there is none."""
    gpus = traces.plots(run)
    drawn = [roofline.plot(run), shares.plot(run), *gpus[:1], past.plot(run), rounds.plot(run), *gpus[1:]]
    kept: list[Plot] = []
    left: list[str] = []
    for plot in (plot for plot in drawn if plot is not None):
        if sum(len(each.svg) for each in (*kept, plot)) <= PLOT_BYTES:
            kept.append(plot)
        else:
            left.append(plot.title)
    return kept, left


def _quantity(evidence: Evidence) -> str:
    return shortened(quantity(evidence.value, evidence.unit), CELL)


def _held(held: Comparison) -> str:
    return f"{held.sign} {quantity(held.value, held.unit)}"


def _about(run: Run) -> list[tuple[str, str]]:
    """Machine and software, for a table of two columns."""
    machine, unread = run.machine, "not readable"
    rows = [
        ("machine", f"{machine.hostname}, {machine.product or 'product unknown'}, serial {machine.serial or unread}"),
        *[(f"GPU {gpu.index}", f"{gpu.product}, {gpu.uuid}, VBIOS {gpu.vbios or unread}") for gpu in machine.gpus[:16]],
        ("driver", f"{machine.driver or 'none'}, CUDA {machine.cuda_driver or 'none'}"),
        ("firmware", machine.firmware or unread),
        ("processor", f"{machine.cpu or 'unknown'}, {machine.cores} cores, {machine.memory_gib or 0:.1f} GiB"),
        ("system", f"{machine.operating_system or 'unknown'}, kernel {machine.kernel}"),
        ("profile", f"{run.profile.name} ({run.profile.machine}), SHA-256 {run.profile_sha256}"),
        ("tier", run.options.tier.value),
        ("weights", WEIGHTS[run.options.weights]),
    ]
    rows[1:1] = [] if machine.gpus else [("GPU", "none")]
    if image := run.image:
        standin = "; its base is a stand-in" if image.standin else ""
        rows.append(("image", f"{image.reference} {image.id}, from {image.base} {image.base_digest}{standin}"))
        rows.append(("stack", f"{image.stack}, lock {image.lock_sha256}"))
    for stage, software in run.software.items():
        packages = ", ".join(f"{name} {version}" for name, version in software.packages.items() if version)
        rows.append((f"software, {stage}", f"Python {software.python}, CUDA {software.cuda or 'none'}, {packages}"))
    local = " with local changes" if run.suite.modified else ""
    rows.append(("suite", f"{run.suite.version}, commit {run.suite.commit or 'unknown'}{local}, {run.suite.sha256}"))
    return rows
