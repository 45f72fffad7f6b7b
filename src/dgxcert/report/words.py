"""The words that all reports share: what a verdict means, what was measured and required, what went wrong."""

from collections.abc import Iterable

from dgxcert.console import on_one_line, printable
from dgxcert.judgement import basis_count
from dgxcert.judgement.evidence import Evidence, format_quantity
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.plan.options import Weights
from dgxcert.plan.spelling import spelled
from dgxcert.record.run import Result, Run

MEANING = {
    Verdict.CERTIFIED: "every requirement of the standard tier holds on this machine",
    Verdict.REHEARSED: "everything passed, on a profile that cannot certify a machine",
    Verdict.PARTIAL: "everything that was run passed, but it was not the whole standard tier",
    Verdict.REJECTED: "at least one requirement was measured and does not hold",
    Verdict.INCONCLUSIVE: "nothing failed, but something could not be measured",
}

HOW_TO_REHEARSE = "To rehearse the suite on a machine without a GPU: make validate PROFILE=cpu"

WEIGHTS = {
    Weights.SEEDED: "seeded random numbers in the shapes of real models; nothing was downloaded for them",
    Weights.HUB: "seeded random numbers in the shapes of real models, and real checkpoints at pinned revisions",
}


def meaning(run: Run) -> str:
    """The meaning of a run's verdict, with the number of waivers that it depends on."""
    verdict, count = run.judgement.verdict, len(run.waived)
    if not count:
        return MEANING[verdict]
    waived = f"{count} that {'is' if count == 1 else 'are'} waived"
    if verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE):
        return f"{MEANING[verdict]}; not counting {waived}"
    return f"{MEANING[verdict]}, except {waived}"


def verdict_with_basis(run: Run) -> str:
    """The verdict and how many limits of each basis it is built on, for the first line of every report.

    `CERTIFIED (limits: 31 measured, 24 published, 14 derived)`
    `CERTIFIED (limits: 45 measured, 20 published, 4 derived; site dgx-spark 9c1d52aa77ab)`
    """
    site = run.profile.site
    tightened = f"; site {on_one_line(site.name)} {site.sha256[:12]}" if site else ""
    return f"{run.judgement.verdict.value} ({basis_count.described(run.limits)}{tightened})"


def shortened(text: str, longest: int) -> str:
    """Printable text of at most `longest` characters, and how many more there are.

    >>> print(shortened("Xid 79: GPU has fallen off the bus", 6))
    Xid 79
    … and 28 more characters: run.json has them all.
    """
    more = f"\n… and {len(text) - longest} more characters: run.json has them all." if len(text) > longest else ""
    return printable(text[:longest]) + more


def waived(run: Run) -> list[str]:
    """One line for each requirement that did not pass and has a waiver: outcome, reason and who is responsible."""
    return [
        printable(f"{result.key} is {result.outcome.label}; waived: {result.waiver.description}")
        for result in run.waived
        if result.waiver
    ]


def repeated(result: Result) -> str:
    """What became of a requirement's earlier attempts, on one line; "" where it was measured once.

    `measured 2 times; before: inconclusive, rounds spread 641%`
    """
    if not result.earlier_attempts:
        return ""
    reasons = [(each.outcome.label, each.reason.partition("\n")[0]) for each in result.earlier_attempts]
    before = "; ".join(f"{label}, {reason or 'then work was measured again'}" for label, reason in reasons)
    times = f"measured {result.attempts} times" if result.attempts > 1 else "measured before"
    return printable(f"{times}; before: {before}")


def percent(share: float) -> str:
    """A share in percent, with a decimal where it is small: 0.4 % is not 0 %.

    >>> percent(0.78), percent(0.004)
    ('78%', '0.4%')
    """
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def measured(evidence: Iterable[Evidence]) -> str:
    """The quantities of a requirement on one line, without the spreads of their rounds.

    >>> rate = Evidence(name="decode", value=14.204, unit="token/s", source="median of 10 rounds")
    >>> spread = Evidence(name="spread of decode", value=0.6, unit="%", source="quartiles of 10 rounds")
    >>> measured([rate, spread])
    'decode 14.2 token/s'
    """
    shown = [item for item in evidence if not item.name.startswith("spread of ")]
    return printable("; ".join(f"{item.name} {format_quantity(item.value, item.unit)}" for item in shown))


def headline(evidence: Iterable[Evidence]) -> str:
    """The quantity that a requirement is about, with its value."""
    return measured(about(evidence))


def required(evidence: Iterable[Evidence]) -> str:
    """What the headline's quantity was compared with, each limit once: `>= 13 token/s`."""
    comparisons = [comparison for item in about(evidence) for comparison in item.held_against]
    limits = (f"{comparison.sign} {format_quantity(comparison.value, comparison.unit)}" for comparison in comparisons)
    return printable("; ".join(dict.fromkeys(limits)))


def about(evidence: Iterable[Evidence]) -> list[Evidence]:
    """The quantity that violates a limit; without any the timed one, the last that was compared or recorded."""
    items = list(evidence)
    violated, timed = [item for item in items if item.violated], [item for item in items if item.rounds_s]
    compared = [item for item in items if item.held_against]
    return violated[:1] or timed[:1] or compared[-1:] or items[-1:]


def open_results(run: Run) -> list[Result]:
    """The results that keep the run from passing, failures first."""
    order = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN)
    unwaived = [result for result in run.results if result.wanted and not result.waiver]
    return [result for outcome in order for result in unwaived if result.outcome is outcome]


def problems(run: Run) -> list[list[Result]]:
    """The results that keep the run from passing, grouped where outcome, reason and remedy are the same."""
    groups: dict[tuple[Outcome, str, tuple[str, ...]], list[Result]] = {}
    for result in open_results(run):
        groups.setdefault((result.outcome, result.reason, result.remedy), []).append(result)
    return list(groups.values())


def not_measured(run: Run) -> dict[str, list[Result]]:
    """The results that the profile, the tier or --only excluded, by reason: a verdict says nothing about them."""
    groups: dict[str, list[Result]] = {}
    for outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
        for result in run.results:
            if result.outcome is outcome and (outcome is Outcome.NOT_APPLICABLE or not result.wanted):
                groups.setdefault(f"{outcome.label}, {printable(result.reason)}", []).append(result)
    return groups


def keys(results: list[Result]) -> str:
    """The keys of some results on one line."""
    return on_one_line(", ".join(result.key for result in results))


def rehearse_hint(run: Run) -> str | None:
    """How to rehearse, where a run was rejected because the machine has no GPU."""
    absent = any(result.id == "GPU-PRESENT" and result.outcome is Outcome.FAILED for result in run.results)
    return spelled(HOW_TO_REHEARSE, installed=run.suite.installed) if absent and not run.machine.gpus else None
