"""summary.md: the run for a CI job summary or a colleague, under any size limit that CI sets."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from dgxcert.judgement.evidence import quantity
from dgxcert.judgement.verdict import tally
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report.words import WEIGHTS, keys, meaning, measured, printable, rehearse_hint, troubles, waived

T = TypeVar("T")

CELL = 300
"""Longest text in one table cell."""

REASON = 4000

TROUBLE_BYTES = 400_000
ROW_BYTES = 400_000
NOTE_BYTES = 50_000
"""Room for each part: GitHub refuses a job summary over 1 MiB."""


def render(run: Run) -> str:
    """The run as Markdown: verdict, what to do, then everything."""
    judgement = run.judgement
    lines = [f"# {judgement.verdict.value}: {meaning(run)}", "", tally(judgement.counts) + ".", ""]
    hint = rehearse_hint(run)
    lines += [hint, ""] if hint else []
    lines += _fitting(troubles(run), _trouble, TROUBLE_BYTES)
    if run.waived:
        lines += ["## Waived", "", *_fitting(waived(run), _note, NOTE_BYTES), ""]
    lines += ["## Machine and software", "", *_about(run), ""]
    lines += ["## Requirements", "", "| requirement | outcome | measured |", "| --- | --- | --- |"]
    lines += _fitting(run.results, _row, ROW_BYTES)
    if run.notes:
        lines += ["", "## Notes", "", *_fitting(run.notes, _note, NOTE_BYTES)]
    return "\n".join(lines) + "\n"


def _fitting(items: Sequence[T], shown: Callable[[T], list[str]], room_bytes: int) -> list[str]:
    """The lines of as many items as there is room for, and how many are left out."""
    lines: list[str] = []
    for number, item in enumerate(items):
        block = shown(item)
        room_bytes -= sum(len(line.encode()) + 1 for line in block)
        if room_bytes < 0:
            return [*lines, "", f"… and {len(items) - number} more: run.json has them all.", ""]
        lines += block
    return lines


def _trouble(results: list[Result]) -> list[str]:
    result = results[0]
    steps = [f"{number}. {_cell(step, REASON)}" for number, step in enumerate(result.remedy, start=1)]
    reason = printable(result.reason[:REASON]).replace("```", "'''")
    return [
        f"## {result.outcome.words.upper()}: {_cell(keys(results), REASON)}",
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
        f"{quantity(machine.memory_gib or 0.0, 'GiB')}, kernel {machine.kernel}",
        f"- profile {run.profile.name}, tier {run.options.tier.value}; suite {run.suite.version} "
        f"commit {run.suite.commit or 'unknown'}{' with local changes' if run.suite.modified else ''}",
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
    return [_cell(line, REASON) for line in lines]


def _note(note: str) -> list[str]:
    return [f"- {_cell(note)}"]


def _row(result: Result) -> list[str]:
    shown = result.words
    if result.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        shown = f"**{shown}**"
    detail = measured(result.evidence) if result.evidence else result.reason
    return [f"| `{result.key}` | {shown} | {_cell(detail)} |"]


def _cell(text: str, longest: int = CELL) -> str:
    """Text that cannot break out of a table cell."""
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    line = printable(short).replace("\n", " ")
    for mark in ("\\", "|", "<", "*", "`", "[", "]"):
        line = line.replace(mark, f"\\{mark}")
    return line
