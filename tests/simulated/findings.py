"""Findings: the outcome of each requirement on each simulated machine, compared with its description, as a table."""

from dataclasses import dataclass
from typing import Any

from dgxcert.outcome import Outcome
from dgxcert.record import run as runs


@dataclass(frozen=True)
class Finding:
    """The outcome of one requirement on one machine; with several GPUs, the worst one."""

    outcome: str
    reason: str
    remedy: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One machine and the outcome of each requirement."""

    machine: str
    summary: str
    profile: str
    findings: dict[str, Finding]
    meant_for: dict[str, str]
    """Requirements that must fail by the description, with a word that their remedy must contain."""
    cannot_tell: dict[str, str]
    """Requirements that must be inconclusive, with a word that their remedy must contain."""

    @property
    def expected(self) -> set[str]:
        """Every requirement that the description names."""
        return {*self.meant_for, *self.cannot_tell}

    @property
    def well(self) -> bool:
        """Whether the machine is healthy: no requirement may fire."""
        return not self.expected

    @property
    def fired(self) -> list[str]:
        """The requirements that did not pass."""
        quiet = {Outcome.PASSED.value, Outcome.NOT_APPLICABLE.value}
        return [name for name, finding in self.findings.items() if finding.outcome not in quiet]


BADNESS = {"failed": 3, "inconclusive": 2, "not_run": 1}


def worst(done: runs.Run, requirements: tuple[str, ...]) -> dict[str, Finding]:
    """The worst outcome of each requirement over all GPUs."""
    found: dict[str, Finding] = {}
    for result in done.results:
        if result.id not in requirements:
            continue
        finding = Finding(result.outcome.value, result.reason, result.remedy)
        before = found.get(result.id)
        if before is None or BADNESS.get(finding.outcome, 0) > BADNESS.get(before.outcome, 0):
            found[result.id] = finding
    return {name: found[name] for name in requirements}


def row_of(kept: dict[str, Any]) -> Row:
    """A row from JSON."""
    findings = {
        name: Finding(each["outcome"], each["reason"], tuple(each["remedy"])) for name, each in kept["findings"].items()
    }
    return Row(**{**kept, "findings": findings})


def wrong(rows: list[Row]) -> list[str]:
    """Requirements that should have fired and did not, or with another remedy, or that fired on a healthy machine."""
    problems = []
    for row in rows:
        for wanted, expected in (("failed", row.meant_for), ("inconclusive", row.cannot_tell)):
            for name in set(expected) & set(row.findings):
                found = row.findings[name]
                if found.outcome != wanted:
                    problems.append(f"{row.machine}: {name} is {found.outcome} and must be {wanted}")
                elif expected[name] not in " ".join(found.remedy):
                    problems.append(f"{row.machine}: the remedy of {name} does not say {expected[name]!r}")
        if row.well and row.fired:
            fired = "; ".join(f"{name} ({row.findings[name].reason.partition(chr(10))[0]})" for name in row.fired)
            problems.append(f"{row.machine} is well, and these fired: {fired}")
    return problems


MARKS = {"passed": "·", "failed": "F", "inconclusive": "I", "not_applicable": "-", "not_run": "?"}


def table(rows: list[Row]) -> str:
    """A Markdown table: each machine, the requirements meant for it that fired, and the others that fired."""
    lines = ["| machine | profile | meant for it | fired beside |", "| --- | --- | --- | --- |"]
    for row in rows:
        meant = [_said(row, name) for name in row.fired if name in row.expected or row.well]
        beside = [_said(row, name) for name in row.fired if not row.well and name not in row.expected]
        cells = f"{', '.join(meant) or 'nothing fires'} | {', '.join(beside)}"
        lines.append(f"| **{row.machine}** {row.summary} | {row.profile} | {cells} |")
    return "\n".join(lines)


def _said(row: Row, name: str) -> str:
    return f"{name} {row.findings[name].outcome.replace('_', ' ')}"


def grid(rows: list[Row]) -> str:
    """A grid of every outcome: a letter for each machine and requirement."""
    width = max(len(row.machine) for row in rows)
    names = list(rows[0].findings)
    heads = [f"{'':{width}}  {'|' * index}{name}" for index, name in enumerate(names)]
    cells = [f"{row.machine:{width}}  {''.join(MARKS[row.findings[name].outcome] for name in names)}" for row in rows]
    legend = ", ".join(f"{mark} {word.replace('_', ' ')}" for word, mark in MARKS.items())
    return "\n".join([*heads, *cells, f"({legend})"])


BEGINS, ENDS = "<!-- matrix begins -->", "<!-- matrix ends -->"


def written(page: str, rows: list[Row]) -> str:
    """A page with the matrix between its markers."""
    before, _, rest = page.partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    return f"{before}{BEGINS}\n\n{table(rows)}\n\n```\n{grid(rows)}\n```\n\n{ENDS}{after}"
