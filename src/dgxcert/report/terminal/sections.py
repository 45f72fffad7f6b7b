"""The sections of the screen, as lines: machine, figures, groups, requirements, problems, remarks."""

from collections import Counter
from collections.abc import Iterable, Iterator

from dgxcert.judgement import basis_count
from dgxcert.judgement.units import OF_TIME
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan.options import NATIVE, Weights
from dgxcert.record.figures import Figure, figures
from dgxcert.record.run import Result, Run
from dgxcert.report.headline_figure import rounded
from dgxcert.report.terminal.lines import Line
from dgxcert.report.words import headline, keys, open_results, percent, problems, repeated, required, waived

OUTCOME_STYLE = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.INCONCLUSIVE: "yellow"}
OTHER_STYLE = "yellow"
WEIGHTS = {
    Weights.SEEDED: "weights seeded, nothing was downloaded for them",
    Weights.HUB: "weights seeded, and real checkpoints at pinned revisions",
}
NOT_MEASURED = (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN)
NAMES = 9
"""Characters of the names beside the machine's values."""
NAMED = 3
"""Products, keys and reasons that are named; the others are counted."""
REASON_LINES = 3
BESIDE = {"lora-steps": "lora-tokens", "temperature": "throttling"}
ID_CHARS = 19
"""Of an image's id: `sha256:` and twelve digits."""


def machine(run: Run) -> list[Line]:
    """Who was measured, with what, and against which limits."""
    of, options = run.machine, run.options
    hardware = of.product if of.gpus else f"{of.cpu or 'CPU unknown'}, {of.cores} cores"
    system = of.dgx_release or of.operating_system or f"kernel {of.kernel}"
    rows = {
        "machine": f"{of.hostname}, {hardware or 'product unknown'}, firmware {of.firmware or 'unknown'}, {system}",
        "GPU": f"{_gpus(run)}driver {of.driver or 'none'}, CUDA {of.cuda_driver or 'none'}" if of.gpus else "none",
        "work": f"{_work(run)}; {WEIGHTS[options.weights]}",
        "profile": f"{run.profile.name}, tier {options.tier.value}; {basis_count.described(run.limits)}",
    }
    return [Line(f"{name:<{NAMES}}{value}", indent=NAMES) for name, value in rows.items()]


def _gpus(run: Run) -> str:
    """The products with their number and memory: `8 x NVIDIA H200, 140 GiB; `."""
    counted = Counter(
        f"{gpu.product}{f', {gpu.memory_gib:.0f} GiB' if gpu.memory_gib else ''}" for gpu in run.machine.gpus
    )
    shown = [f"{count} x {name}" if count > 1 else name for name, count in counted.most_common(NAMED)]
    more = [f"{len(counted) - NAMED} other kinds"] if len(counted) > NAMED else []
    return "; ".join([*shown, *more, ""])


def _work(run: Run) -> str:
    """The image, or the environment, that the work was done in."""
    if image := run.image:
        standin = ", its base is a stand-in" if image.standin else ""
        return f"image {image.reference} {image.id[:ID_CHARS]}{standin}"
    if run.options.runtime is Runtime.DOCKER:
        return "no image"
    software = run.software.get(NATIVE)
    versions = (
        [f"{name} {software.packages.get(name) or 'none'}" for name in ("torch", "transformers")] if software else []
    )
    return ", ".join(["this environment, no container", *versions])


def headline_figures(run: Run) -> list[Line]:
    """A table of what a lab reads aloud; of several GPUs the worst, beside the best."""
    rows = list(_rows(figures(run)))
    if not rows:
        return []
    gpus = max(row[0].gpus for row in rows)
    share_of = next((row[0].share_of for row in rows if row[0].share_of), "")
    heads = ("", f"worst of {gpus} GPUs" if gpus > 1 else "measured", share_of, "")
    cells = [heads, *(cells for _, cells in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True)) for row in cells]
    styles = ["dim", *("bold red" if figure.failed else "" for figure, _ in rows)]
    indent = sum(widths) + 6
    return [Line(text.rstrip(), style, indent) for text, style in zip(lines, styles, strict=True)]


Row = tuple[Figure, tuple[str, str, str, str]]
"""A figure and its cells: label, value, share, and what else there is to say."""


def _rows(found: tuple[Figure, ...]) -> Iterator[Row]:
    """The rows of the table; of one GPU tokens stand beside steps, and throttling beside the temperature."""
    by_name = {figure.name: figure for figure in found if figure.gpus == 1 and not figure.failed}
    beside = {name: by_name[other] for name, other in BESIDE.items() if name in by_name and other in by_name}
    for figure in found:
        if figure in beside.values():
            continue
        other = beside.get(figure.name)
        also = [_value(other) if other.unit != OF_TIME else f"{other.label} {_value(other)}"] if other else []
        share = "" if figure.share is None else percent(figure.share)
        yield figure, (figure.label, _value(figure), share, "; ".join([*_apart(figure), *also]))


def _value(figure: Figure) -> str:
    """The value with its unit.

    >>> [_value(Figure("throttling", "throttled", share, OF_TIME)) for share in (0.0, 0.12)]
    ['never', '12.0% of the time']
    """
    if figure.unit == OF_TIME:
        return f"{figure.value:.1%} of the time" if figure.value else "never"
    return f"{rounded(figure.value)} {figure.unit}"


def _apart(figure: Figure) -> Iterator[str]:
    """Which GPU the value is of and how far the best is from it, what failed, and what is not known."""
    if figure.failed:
        yield "FAILED"
    if figure.spread:
        yield f"GPU {figure.lowest_gpu}, best {rounded(figure.best)}"
    elif figure.spread is not None:
        yield "all alike"
    if figure.unmeasured:
        yield f"{figure.unmeasured} more not measured"


def groups(run: Run) -> list[Line]:
    """One line for each group: its outcomes by number, and why requirements do not apply or were not run."""
    members: dict[str, list[Result]] = {}
    for result in run.results:
        members.setdefault(result.group, []).append(result)
    width = max(map(len, members), default=0)
    return [Line(f"  {name:<{width}}  {_outcomes(results)}", cut=True) for name, results in members.items()]


def _outcomes(results: list[Result]) -> str:
    """The numbers of a group first, then in brackets why some were not measured: a narrow terminal cuts the end."""
    parts = []
    for outcome in Outcome:
        of_it = [result for result in results if result.outcome is outcome]
        excused = sum(result.waiver is not None for result in of_it)
        if of_it:
            parts.append(f"{len(of_it)} {outcome.label}{f' ({excused} waived)' if excused else ''}")
    return ", ".join(parts) + _reasons([result for result in results if result.outcome in NOT_MEASURED])


def _reasons(results: list[Result]) -> str:
    """The reasons of what was not measured, the commonest first.

    ` (this profile rehearses without a GPU; and 4 other reasons)`
    """
    if not results:
        return ""
    (first, _), *others = Counter(result.reason for result in results).most_common()
    more = f"; and {len(others)} other reason{'s' if len(others) > 1 else ''}" if others else ""
    return f" ({first}{more})"


def requirements(run: Run) -> list[Line]:
    """Every requirement: its outcome, what was measured and required, or why it was not."""
    width = max((len(result.key) for result in run.results), default=0)
    return [
        Line(f"  {result.label:<16}{result.key:<{width}}  {_detail(result)}".rstrip(), _style(result), 18)
        for result in run.results
    ]


def _style(result: Result) -> str:
    return OUTCOME_STYLE.get(result.outcome, "dim")


def _detail(result: Result) -> str:
    if result.outcome in NOT_MEASURED:
        return result.reason
    measured, wanted = headline(result.evidence), required(result.evidence)
    return f"{measured}  (required {wanted})" if wanted else measured


def not_passed(run: Run) -> list[Line]:
    """What did not pass: measured against required, and the first step of its remedy."""
    lines = []
    for results in problems(run):
        first = results[0]
        title = f": {first.title}" if len(results) == 1 else ""
        style = OUTCOME_STYLE.get(first.outcome, OTHER_STYLE)
        lines += [Line(""), Line(f"{first.outcome.label.upper()} {_named(results)}{title}", style)]
        lines += [Line(f"  {text}") for text in _findings(first.reason)]
        if first.remedy:
            of = f"step 1 of {len(first.remedy)}" if len(first.remedy) > 1 else "do"
            lines.append(Line(f"  {of}: {first.remedy[0]}", whole=True))
    return lines


def whole_problems(run: Run) -> list[Line]:
    """What did not pass, with sources of measured and required, why it matters, and every step of its remedy."""
    lines = []
    for results in problems(run):
        first = results[0]
        style = OUTCOME_STYLE.get(first.outcome, OTHER_STYLE)
        lines += [Line(""), Line(f"{first.outcome.label.upper()} {keys(results)}", style)]
        lines += [Line(f"  {text}", indent=4) for text in first.reason.splitlines()]
        if len(results) == 1:
            lines.append(Line(f"  why it matters: {first.why}", "dim", 4))
        if first.remedy:
            lines.append(Line(f"--- {keys(results[:1])}: what to do ---"))
            lines += [Line(f"{number}. {step}", whole=True) for number, step in enumerate(first.remedy, start=1)]
    return lines


def short_problems(run: Run) -> list[Line]:
    """What did not pass in one line each: every failure, and what else there is by its reason."""
    others = [results for results in problems(run) if results[0].outcome is not Outcome.FAILED]
    return [*failures(run), *(_short(results) for results in others)]


def failures(run: Run) -> list[Line]:
    """The failures, one line each, as pytest ends."""
    return [_short([result]) for result in open_results(run) if result.outcome is Outcome.FAILED]


def _short(results: list[Result]) -> Line:
    first = results[0]
    reason = next(iter(_findings(first.reason)), "")
    text = f"{first.outcome.label.upper()} {_named(results)} - {reason}"
    return Line(text, OUTCOME_STYLE.get(first.outcome, OTHER_STYLE), cut=True)


def _named(results: list[Result]) -> str:
    """The first keys of some results, and how many more there are: `STACK-ONCE, PIP-CHECK and 4 more`."""
    more = f" and {len(results) - NAMED} more" if len(results) > NAMED else ""
    return f"{keys(results[:NAMED])}{more}"


def _findings(reason: str) -> list[str]:
    """The lines of a reason that are not about sources.

    >>> _findings("decode is 9.8 token/s, required >= 13 token/s\\n  measured: 10 rounds\\n  required: limit decode")
    ['decode is 9.8 token/s, required >= 13 token/s']
    """
    lines = [line for line in reason.splitlines() if line.strip() and not line.startswith("  ")]
    return lines[:REASON_LINES]


def remarks(run: Run) -> Iterable[Line]:
    """What a reader of the verdict should know besides: waivers first, then attempts, then notes."""
    yield from (Line(line, "bold yellow") for line in waived(run))
    for result in run.results:
        if result.earlier_attempts and result.outcome is not Outcome.NOT_RUN:
            yield Line(f"again: {keys([result])} {repeated(result)}", "dim")
    yield from (Line(f"note: {note}", "dim") for note in run.notes)
