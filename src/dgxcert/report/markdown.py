"""summary.md: the run for a CI job summary, small enough for any CI system."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from dgxcert.console import on_one_line, printable
from dgxcert.judgement.basis_count import EXPLAINED
from dgxcert.judgement.evidence import format_quantity
from dgxcert.judgement.verdict import tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import (
    WEIGHTS,
    keys,
    meaning,
    measured,
    problems,
    rehearse_hint,
    repeated,
    verdict_with_basis,
    waived,
)

T = TypeVar("T")

CELL_CHARS = 300
REASON_CHARS = 4000

PROBLEM_BYTES = 400_000
ROW_BYTES = 400_000
NOTE_BYTES = 50_000
"""Size limits of the three lists: GitHub rejects a job summary of more than 1 MiB."""


def render(run: Run) -> str:
    """The run as Markdown: verdict, problems with their remedies, machine, and all requirements."""
    judgement = run.judgement
    lines = [
        f"# {_cell(verdict_with_basis(run))}: {meaning(run)}",
        "",
        tally(judgement.counts) + ".",
        "",
        EXPLAINED,
        "",
    ]
    hint = rehearse_hint(run)
    lines += [hint, ""] if hint else []
    lines += _within(problems(run), _problem, PROBLEM_BYTES)
    if run.waived:
        lines += ["## Waived", "", *_within(waived(run), _note, NOTE_BYTES), ""]
    if again := [result for result in run.results if result.earlier_attempts]:
        lines += ["## Measured again", "", *_within(again, _attempts, NOTE_BYTES), ""]
    lines += ["## Machine and software", "", *_about(run), ""]
    lines += ["## Requirements", "", "| requirement | outcome | measured |", "| --- | --- | --- |"]
    lines += _within(run.results, _row, ROW_BYTES)
    if run.notes:
        lines += ["", "## Notes", "", *_within(run.notes, _note, NOTE_BYTES)]
    return printable("\n".join(lines) + "\n")


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
    steps = [f"{number}. {_cell(step, REASON_CHARS)}" for number, step in enumerate(result.remedy, start=1)]
    reason = printable(result.reason[:REASON_CHARS]).replace("```", "'''")
    return [
        f"## {result.outcome.label.upper()}: {_cell(keys(results), REASON_CHARS)}",
        "",
        "```text",
        reason,
        "```",
        "",
        *steps,
        "",
    ]


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
    return [_cell(line, REASON_CHARS) for line in lines]


def _note(note: str) -> list[str]:
    return [f"- {_cell(note)}"]


def _row(result: Result) -> list[str]:
    outcome = result.label
    if result.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        outcome = f"**{outcome}**"
    detail = measured(result.evidence) if result.evidence else result.reason
    return [f"| {_code(result.key)} | {outcome} | {_cell(detail)} |"]


def _attempts(result: Result) -> list[str]:
    return [f"- {_code(result.key)}: {_cell(repeated(result))}"]


def _code(key: str) -> str:
    r"""A key as code that it cannot leave; in a table, a bar ends a cell even within code.

    >>> _code("DECODE-SPEED[int4]"), _code("A` | **passed**")
    ('`DECODE-SPEED[int4]`', "`A' \\| **passed**`")
    """
    code = on_one_line(key)[:CELL_CHARS].replace("`", "'").replace("|", "\\|")
    return f"`{code}`"


def _cell(text: str, longest: int = CELL_CHARS) -> str:
    r"""Text on one line, shortened, with Markdown escaped so that it cannot leave its table cell.

    >>> print(_cell("GB10 | *fast*"))
    GB10 \| \*fast\*
    """
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    line = printable(short).replace("\n", " ")
    for mark in ("\\", "|", "<", "*", "`", "[", "]"):
        line = line.replace(mark, f"\\{mark}")
    return line
