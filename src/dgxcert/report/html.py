"""report.html: a run as one page that runs no script and makes no network request."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dgxcert.console import printable
from dgxcert.judgement import basis_count
from dgxcert.judgement.evidence import Comparison, Evidence, format_quantity
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report import headline_figure, shortfall
from dgxcert.report.plots import bars, past, roofline, rounds, traces
from dgxcert.report.plots.canvas import Plot
from dgxcert.report.shortfall import Shortfall
from dgxcert.report.words import (
    WEIGHTS,
    headline,
    keys,
    meaning,
    problems,
    rehearse_hint,
    repeated,
    required,
    shortened,
    waived,
)

HERE = Path(__file__).parent
PAGE, PIECES, STYLESHEET = "report.html.j2", "pieces.html.j2", "report.css"

PLOT_BYTES = 600_000
PROBLEM_BYTES = 150_000
ROW_BYTES = 450_000
FOLD_BYTES = 100_000
NOTE_BYTES = 30_000
"""Size limits of the parts. The whole page stays under 1.5 MB, so that it can be mailed and opens at once."""
TEXT_CHARS = 4000
CELL_CHARS = 300
MOST_WAIVED = 100
MOST_STEPS = 20
MOST_PRINTED = 200
"""Requirements that are named on paper, problems first."""
MOST_PRINTED_REASONS = 12
"""Reasons for not measuring that are named on paper."""
MOST_IN_HEADING = 4
"""Requirements that the heading of a problem names; more are counted there, and named below it."""
MOST_FOLDED = 200
"""Requirements of one reason that are named where that is opened."""

SIGNS = {
    Outcome.PASSED: "✔",
    Outcome.FAILED: "✘",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_APPLICABLE: "-",
    Outcome.NOT_RUN: "○",
}
"""Shown beside the outcome's name, never in its place: a screen reader does not read a sign."""
TONES = {
    Verdict.CERTIFIED: "good",
    Verdict.REHEARSED: "good",
    Verdict.PARTIAL: "other",
    Verdict.REJECTED: "bad",
    Verdict.INCONCLUSIVE: "warn",
}
URGENCY = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN, Outcome.PASSED, Outcome.NOT_APPLICABLE)
"""The order in which details are rendered until ROW_BYTES are used: a failure is never dropped for a pass."""


@dataclass(frozen=True)
class Pieces:
    """Rendered items that fit into a size, and the number of those that did not."""

    rendered: tuple[Markup, ...]
    omitted: int


@dataclass(frozen=True)
class Problem:
    """Requirements that did not pass for the same reason, as the page shows them."""

    outcome: Outcome
    count: int
    keys: str
    title: str
    shortfalls: tuple[Shortfall, ...]
    reason: str
    why: str
    remedy: tuple[str, ...]


@dataclass(frozen=True)
class Fold:
    """Requirements that were not measured for the same reason: one line that opens."""

    label: str
    reason: str
    results: tuple[Result, ...]
    most: int = MOST_FOLDED


def render(run: Run) -> str:
    """The whole page. The same run gives the same bytes, whenever and wherever it is rendered."""
    environment = _environment()
    macros: Any = environment.get_template(PIECES).module
    folded = _folds(run)
    apart = {result.key for fold in folded for result in fold.results}
    ordered = _by_urgency(result for result in run.results if result.key not in apart)
    details = _within(ordered, macros.details, ROW_BYTES)
    groups: dict[str, list[Markup]] = {}
    for result, piece in zip(ordered, details.rendered, strict=False):
        groups.setdefault(result.group, []).append(piece)
    plots, omitted_plots = _plots(run)
    page = environment.get_template(PAGE).render(
        run=run,
        tone=TONES[run.judgement.verdict],
        meaning=meaning(run),
        limits=basis_count.described(run.limits).removeprefix("limits: "),
        explained=basis_count.EXPLAINED,
        hint=rehearse_hint(run),
        figures=headline_figure.of(run),
        explained_figures=headline_figure.explained(run),
        problems=_within([_problem(results) for results in problems(run)], macros.problem, PROBLEM_BYTES),
        waived=waived(run)[:MOST_WAIVED],
        folds=_within(folded, macros.fold, FOLD_BYTES),
        unmeasured=[f"{len(fold.results)} {fold.label}: {fold.reason}" for fold in folded[:MOST_PRINTED_REASONS]],
        about=_about(run),
        bars=bars.bars(run),
        plots=plots,
        omitted_plots=omitted_plots,
        steps=past.steps(run)[:MOST_STEPS],
        groups=groups,
        omitted=ordered[len(details.rendered) :],
        printed=ordered[:MOST_PRINTED],
        unprinted=len(ordered[MOST_PRINTED:]),
        notes=_within(run.notes, macros.note, NOTE_BYTES),
        stylesheet=Markup((HERE / STYLESHEET).read_text(encoding="utf-8")),  # noqa: S704 (our own file)
    )
    return printable(page)


def _problem(results: list[Result]) -> Problem:
    first, alone = results[0], len(results) == 1
    return Problem(
        outcome=first.outcome,
        count=len(results),
        keys=keys(results),
        title=first.title if alone else "",
        shortfalls=shortfall.of(first),
        reason=shortfall.explanation(first),
        why=first.why if alone else "",
        remedy=first.remedy,
    )


def _folds(run: Run) -> list[Fold]:
    """What the profile, the tier or --only excluded, by reason; the reason of most requirements first."""
    by_reason: dict[tuple[Outcome, str], list[Result]] = {}
    for result in run.results:
        if result.outcome is Outcome.NOT_APPLICABLE or (result.outcome is Outcome.NOT_RUN and not result.wanted):
            by_reason.setdefault((result.outcome, result.reason), []).append(result)
    folds = [Fold(outcome.label, reason, tuple(results)) for (outcome, reason), results in by_reason.items()]
    return sorted(folds, key=lambda fold: -len(fold.results))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        text=lambda value: shortened(str(value), TEXT_CHARS),
        step=_step,
        cell=lambda value: shortened(str(value), CELL_CHARS),
        quantity=_quantity,
        limit=_limit,
        repeated=repeated,
        headline=lambda result: shortened(headline(result.evidence), CELL_CHARS),
        required=_required,
        svg=lambda plot: Markup(plot.svg),  # noqa: S704 (matplotlib escapes what it writes)
    )
    environment.globals.update(signs=SIGNS, outcomes=Outcome, most_in_heading=MOST_IN_HEADING)
    return environment


def _within(items: Sequence[Any], render_item: Callable[[Any], Markup], size_bytes: int) -> Pieces:
    rendered: list[Markup] = []
    for item in items:
        piece = render_item(item)
        size_bytes -= len(piece.encode())
        if size_bytes < 0:
            break
        rendered.append(piece)
    return Pieces(tuple(rendered), len(items) - len(rendered))


def _by_urgency(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: URGENCY.index(result.outcome))


def _plots(run: Run) -> tuple[list[Plot], list[str]]:
    """The plots that fit into PLOT_BYTES, the most useful first, and the titles of those that do not."""
    gpus = traces.plots(run)
    drawn = [roofline.plot(run), *gpus[:1], past.plot(run), rounds.plot(run), *gpus[1:]]
    shown: list[Plot] = []
    omitted: list[str] = []
    for plot in (plot for plot in drawn if plot is not None):
        if sum(len(fitting.svg) for fitting in (*shown, plot)) <= PLOT_BYTES:
            shown.append(plot)
        else:
            omitted.append(plot.title)
    return shown, omitted


def _quantity(evidence: Evidence) -> str:
    return shortened(format_quantity(evidence.value, evidence.unit), CELL_CHARS)


def _step(step: str) -> Markup:
    """A step of a remedy, with what it says in backticks as code.

    >>> print(_step("Run `nvidia-smi -q` and keep <all> of it."))
    Run <code>nvidia-smi -q</code> and keep &lt;all&gt; of it.
    """
    parts = shortened(step, TEXT_CHARS).split("`")
    if len(parts) % 2 == 0:
        return escape(shortened(step, TEXT_CHARS))
    shown = (Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts))
    return Markup("").join(shown)


def _required(result: Result) -> str:
    """What a row says was required; nothing where it passed by being equal to it."""
    limit = required(result.evidence)
    return "" if result.outcome is Outcome.PASSED and limit.startswith("== ") else shortened(limit, CELL_CHARS)


def _limit(comparison: Comparison) -> str:
    return f"{comparison.sign} {format_quantity(comparison.value, comparison.unit)}"


def _about(run: Run) -> list[tuple[str, str]]:
    """Machine and software, as names and values."""
    machine, unreadable = run.machine, "not readable"
    rows = [
        (
            "machine",
            f"{machine.hostname}, {machine.product or 'product unknown'}, serial {machine.serial or unreadable}",
        ),
        *[
            (f"GPU {gpu.index}", f"{gpu.product}, {gpu.uuid}, VBIOS {gpu.vbios or unreadable}")
            for gpu in machine.gpus[:16]
        ],
        ("driver", f"{machine.driver or 'none'}, CUDA {machine.cuda_driver or 'none'}"),
        ("firmware", machine.firmware or unreadable),
        ("CPU", f"{machine.cpu or 'unknown'}, {machine.cores} cores, {machine.memory_gib or 0:.1f} GiB"),
        ("system", f"{machine.operating_system or 'unknown'}, kernel {machine.kernel}"),
        ("profile", f"{run.profile.name} ({run.profile.machine}), SHA-256 {run.profile_sha256}"),
        ("site profile", run.profile.site.description if run.profile.site else "none: the limits are those that ship"),
        ("tier", run.options.tier.value),
        ("weights", WEIGHTS[run.options.weights]),
    ]
    rows[1:1] = [] if machine.gpus else [("GPU", "none")]
    if image := run.image:
        standin = "; its base is a stand-in" if image.standin else ""
        rows.append(("image", f"{image.reference} {image.id}, from {image.base} {image.base_digest}{standin}"))
        rows.append(("stack", f"{image.stack}, lock {image.lock_sha256}"))
    stages: dict[str, list[str]] = {}
    for stage, software in run.software.items():
        packages = ", ".join(f"{name} {version}" for name, version in software.packages.items() if version)
        described = f"Python {software.python}, CUDA {software.cuda or 'none'}, {packages}"
        stages.setdefault(described, []).append(stage)
    rows += [(f"software, {', '.join(names)}", described) for described, names in stages.items()]
    local = " with local changes" if run.suite.modified else ""
    rows.append(("suite", f"{run.suite.version}, commit {run.suite.commit or 'unknown'}{local}, {run.suite.sha256}"))
    return rows
