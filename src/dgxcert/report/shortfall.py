"""Shortfalls: what a requirement that failed measured, and what it required, apart from the rest of its reason."""

from collections.abc import Iterable
from dataclasses import dataclass

from dgxcert.judgement.evidence import Comparison, Evidence, violation
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result

MOST = 6
"""Shortfalls of one requirement that are shown apart; its reason has all."""


@dataclass(frozen=True)
class Shortfall:
    """One comparison that does not hold: `decode`, `9.8 token/s`, `>= 13 token/s`."""

    name: str
    measured: str
    required: str


def of(result: Result) -> tuple[Shortfall, ...]:
    """The shortfalls of a requirement that failed, in the order in which they were found."""
    return tuple(_shortfall(item, comparison) for item, comparison in _violated(result))[:MOST]


def explanation(result: Result) -> str:
    """The reason of a result without what its shortfalls say: where both numbers come from, and everything else."""
    printed = [violation(item, comparison) for item, comparison in list(_violated(result))[:MOST]]
    said, indented = {line for line, *_ in printed}, {line for _, *more in printed for line in more}
    lines = [line for line in result.reason.split("\n") if line not in said]
    return "\n".join(line.removeprefix("  ") if line in indented else line for line in lines)


def _violated(result: Result) -> Iterable[tuple[Evidence, Comparison]]:
    if result.outcome is not Outcome.FAILED:
        return []
    return [(item, comparison) for item in result.evidence for comparison in item.violated]


def _shortfall(item: Evidence, comparison: Comparison) -> Shortfall:
    said = violation(item, comparison)[0]
    measured, _, required = said.removeprefix(f"{item.name} is ").partition(f", required {comparison.sign} ")
    return Shortfall(item.name, measured, f"{comparison.sign} {required}")
