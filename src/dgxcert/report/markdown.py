"""summary.md: the run for a CI job summary, small enough for any CI system."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from dgxcert.console import on_one_line, printable
from dgxcert.judgement.basis_count import EXPLAINED
from dgxcert.judgement.evidence import format_quantity
from dgxcert.judgement.verdict import tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report import headline_figure, shortfall
from dgxcert.report.words import (
    WEIGHTS,
    keys,
    meaning,
    measured,
    not_measured,
    problems,
    rehearse_hint,
    repeated,
    verdict_with_basis,
    waived,
)

T = TypeVar("T")
TIMES = "\N{MULTIPLICATION SIGN}"

MARK = re.compile(r"[\\|<*`\[\]&~$@]|(?<!\w)_|_(?!\w)|^[#+-]")
"""What Markdown, as GitHub and GitLab read it, takes for more than a character; an underscore within a word is none."""
LINK = re.compile(r"(?<=[a-z]):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""What makes a link of text that is not marked as one."""

CELL_CHARS = 300
REASON_CHARS = 4000

PROBLEM_BYTES = 400_000
ROW_BYTES = 300_000
NOT_MEASURED_BYTES = 100_000
NOTE_BYTES = 50_000
"""Size limits of the lists: GitHub rejects a job summary of more than 1 MiB."""
MOST_IN_HEADING = 4
"""Requirements that the heading of a problem names; more are counted there, and named below it."""


def render(run: Run) -> str:
    """The run as Markdown: verdict, headline figures and what did not pass; everything else is folded."""
    judgement = run.judgement
    lines = [f"# {cell(verdict_with_basis(run))}: {meaning(run)}", "", _machine(run), ""]
    lines += [tally(judgement.counts) + ".", "", *_figures(run)]
    hint = rehearse_hint(run)
    lines += [hint, ""] if hint else []
    lines += _within(problems(run), _problem, PROBLEM_BYTES)
    if run.waived:
        lines += ["## Waived", "", *_within(waived(run), _note, NOTE_BYTES), ""]
    if again := [result for result in run.results if result.earlier_attempts]:
        lines += _folded(f"Measured again: {len(again)}", _within(again, _attempts, NOTE_BYTES))
    lines += _requirements(run)
    lines += _folded("Machine and software", _about(run))
    if run.notes:
        lines += _folded(f"Notes: {len(run.notes)}", _within(run.notes, _note, NOTE_BYTES))
    return printable("\n".join([*lines, EXPLAINED]) + "\n")


def _machine(run: Run) -> str:
    """Who was measured, in one line."""
    machine = run.machine
    gpus = f"{len(machine.gpus)} {TIMES} {machine.gpus[0].product}" if machine.gpus else "no GPU"
    named = (f"{machine.hostname}", machine.product or "product unknown", gpus, f"driver {machine.driver or 'none'}")
    return cell(" · ".join((*named, f"profile {run.profile.name}", f"tier {run.options.tier.value}")))


def _figures(run: Run) -> list[str]:
    """The headline figures as a table; nothing where none was measured."""
    found = headline_figure.of(run)
    if not found:
        return []
    rows = [
        f"| {cell(each.label)} | {'✘ failed: ' if each.failed else ''}**{each.number}** {cell(each.unit)} "
        f"| {cell('; '.join(each.remarks))} |"
        for each in found
    ]
    explained = headline_figure.explained(run)
    table = ["| headline figure | measured | |", "| --- | --- | --- |", *rows, ""]
    return [*table, explained, ""] if explained else table


def _requirements(run: Run) -> list[str]:
    """Every requirement: those that were measured as a table, the others by reason."""
    apart = not_measured(run)
    keys_apart = {result.key for results in apart.values() for result in results}
    measured_here = [result for result in run.results if result.key not in keys_apart]
    table = ["| requirement | outcome | measured |", "| --- | --- | --- |"]
    lines = _folded(f"Requirements: {len(measured_here)}", [*table, *_within(measured_here, _row, ROW_BYTES)])
    if apart:
        lines += _folded(f"Not measured: {len(keys_apart)}", _within(list(apart.items()), _reason, NOT_MEASURED_BYTES))
    return lines


def _folded(title: str, lines: list[str]) -> list[str]:
    """Lines that open at a click. GitHub and GitLab read what is between empty lines as Markdown again.

    >>> _folded("Notes: 1", ["- waived"])
    ['<details><summary>Notes: 1</summary>', '', '- waived', '', '</details>', '']
    """
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _reason(item: tuple[str, list[Result]]) -> list[str]:
    """Requirements that were not measured for one reason."""
    reason, results = item
    return [f"- {len(results)} {cell(reason)}: {_code(keys(results), REASON_CHARS)}"]


def _within(items: Sequence[T], render_item: Callable[[T], list[str]], size_bytes: int) -> list[str]:
    """The lines of as many items as fit into a size, and the number of those that do not."""
    lines: list[str] = []
    for number, item in enumerate(items):
        block = render_item(item)
        size_bytes -= sum(len(line.encode()) + 1 for line in block)
        if size_bytes < 0:
            return [*lines, "", f"… and {len(items) - number} more: run.json has them all.", ""]
        lines += block
    return lines


def _problem(results: list[Result]) -> list[str]:
    result = results[0]
    short = shortfall.of(result)
    steps = [f"{number}. {_step(step)}" for number, step in enumerate(result.remedy, start=1)]
    reason = printable(shortfall.explanation(result)[:REASON_CHARS]).replace("```", "'''")
    table = ["| | measured | required |", "| --- | --- | --- |"] if short else []
    table += [f"| {cell(each.name)} | **{cell(each.measured)}** | {cell(each.required)} |" for each in short]
    named = cell(keys(results), REASON_CHARS)
    counted = named if len(results) <= MOST_IN_HEADING else f"{len(results)} requirements"
    lines = [f"## {result.outcome.label.upper()}: {counted}", ""]
    lines += [named, ""] if counted != named else []
    lines += [*table, ""] if table else []
    return [*lines, *(["```text", reason, "```", ""] if reason else []), *steps, ""]


def _about(run: Run) -> list[str]:
    machine = run.machine
    gpus = ", ".join(gpu.product for gpu in machine.gpus) or "no GPU"
    lines = [
        f"- machine: {machine.hostname}, {machine.product or 'product unknown'}, "
        f"serial {machine.serial or 'not readable'}",
        f"- {gpus}; driver {machine.driver or 'none'}; firmware {machine.firmware or 'not readable'}",
        f"- {machine.cpu or 'CPU unknown'}, {machine.cores} cores, "
        f"{format_quantity(machine.memory_gib or 0.0, 'GiB')}, kernel {machine.kernel}",
        f"- profile {run.profile.name}, tier {run.options.tier.value}; suite {run.suite.version} "
        f"commit {run.suite.commit or 'unknown'}{' with local changes' if run.suite.modified else ''}",
        f"- site profile: {run.profile.site.description if run.profile.site else 'none'}",
        f"- weights: {WEIGHTS[run.options.weights]}",
    ]
    if run.image is not None:
        lines.append(
            f"- image {run.image.reference} ({run.image.id}), from {run.image.base} ({run.image.base_digest}), stack "
            f"{run.image.stack}, lock {run.image.lock_sha256}{'; its base is a stand-in' if run.image.standin else ''}"
        )
    for stage, software in run.software.items():
        packages = ", ".join(f"{name} {version}" for name, version in software.packages.items() if version)
        lines.append(f"- software ({stage}): Python {software.python}, CUDA {software.cuda or 'none'}, {packages}")
    return [cell(line, REASON_CHARS) for line in lines]


def _step(step: str) -> str:
    r"""A step of a remedy, with what it says in backticks as code.

    >>> print(_step("Run `nvidia-smi -q` and keep <all> of it."))
    Run `nvidia-smi -q` and keep \<all> of it.
    """
    parts = on_one_line(step[:REASON_CHARS]).split("`")
    if len(parts) % 2 == 0 or "" in parts[1::2]:
        return cell(step, REASON_CHARS)
    return "".join(f"`{part}`" if at % 2 else cell(part, REASON_CHARS) for at, part in enumerate(parts))


def _note(note: str) -> list[str]:
    return [f"- {cell(note)}"]


def _row(result: Result) -> list[str]:
    outcome = result.label
    if result.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        outcome = f"**{outcome}**"
    detail = measured(result.evidence) if result.evidence else result.reason
    return [f"| {_code(result.key)} | {outcome} | {cell(detail)} |"]


def _attempts(result: Result) -> list[str]:
    return [f"- {_code(result.key)}: {cell(repeated(result))}"]


def _code(key: str, longest: int = CELL_CHARS) -> str:
    r"""A key as code that it cannot leave; in a table, a bar ends a cell even within code.

    >>> _code("DECODE-SPEED[int4]"), _code("A` | **passed**")
    ('`DECODE-SPEED[int4]`', "`A' \\| **passed**`")
    """
    code = on_one_line(key)[:longest].replace("`", "'").replace("|", "\\|")
    return f"`{code}`"


def cell(text: str, longest: int = CELL_CHARS) -> str:
    r"""Text on one line, shortened, with Markdown escaped so that it cannot leave its table cell or become a link.

    >>> print(cell("GB10 | *fast* https://example.com"))
    GB10 \| \*fast\* https\://example.com
    """
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    line = printable(short).replace("\n", " ")
    return LINK.sub(r"\\\g<0>", MARK.sub(r"\\\g<0>", line))
