"""The words that every face uses: what a verdict means, what was measured, how to rehearse."""

from collections.abc import Iterable

from dgxcert.judgement.evidence import Evidence, quantity
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.plan.options import Weights
from dgxcert.record.run import Result, Run

MEANING = {
    Verdict.CERTIFIED: "every requirement of the standard tier holds on this machine",
    Verdict.REHEARSED: "everything passed, on a profile that cannot certify a machine",
    Verdict.PARTIAL: "all that was run passed; it was not the whole standard tier",
    Verdict.REJECTED: "at least one requirement was measured and does not hold",
    Verdict.INCONCLUSIVE: "nothing failed, but something could not be measured",
}

HOW_TO_REHEARSE = "To rehearse the suite on a machine without a GPU: make validate PROFILE=cpu"


WEIGHTS = {
    Weights.SEEDED: "seeded random numbers in the shapes of real models; nothing was downloaded for them",
    Weights.HUB: "seeded random numbers in the shapes of real models, and real checkpoints at pinned revisions",
}


def meaning(run: Run) -> str:
    """What the verdict means, with what it rests on besides measurements."""
    verdict, count = run.judgement.verdict, len(run.waived)
    if not count:
        return MEANING[verdict]
    joined = "; besides" if verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE) else ", but for"
    return f"{MEANING[verdict]}{joined} {count} that {'is' if count == 1 else 'are'} waived"


def printable(text: str) -> str:
    """Text from a machine with control characters shown, not obeyed: a driver string may hold anything."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def shortened(text: str, longest: int) -> str:
    """Text for a page: printable, and where it is very long, how much more of it there is."""
    more = f"\n… and {len(text) - longest} more characters: run.json has them all." if len(text) > longest else ""
    return printable(text[:longest]) + more


def waived(run: Run) -> list[str]:
    """Every requirement that did not pass and is answered for, with what came of it and by whom."""
    return [
        printable(f"{result.key} is {result.outcome.words}; waived: {result.waiver.words}")
        for result in run.waived
        if result.waiver
    ]


def measured(evidence: Iterable[Evidence]) -> str:
    """The quantities of a requirement on one line, without the spread that only explains them."""
    shown = [item for item in evidence if not item.name.startswith("spread of ")]
    return printable("; ".join(f"{item.name} {quantity(item.value, item.unit)}" for item in shown))


def headline(evidence: Iterable[Evidence]) -> str:
    """The quantity that a requirement is about, with its value."""
    return measured(_first(evidence))


def _first(evidence: Iterable[Evidence]) -> list[Evidence]:
    """What was timed, where something was; else what was held against something last, or at least recorded."""
    kept = list(evidence)
    held = [item for item in kept if item.held_against]
    return [item for item in kept if item.rounds_s][:1] or held[-1:] or kept[-1:]


def open_results(run: Run) -> list[Result]:
    """What keeps the run from passing, failures first."""
    order = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN)
    left = [result for result in run.results if result.wanted and not result.waiver]
    return [result for outcome in order for result in left if result.outcome is outcome]


def troubles(run: Run) -> list[list[Result]]:
    """What keeps the run from passing, told once where several requirements ended the same way for the same reason."""
    groups: dict[tuple[Outcome, str, tuple[str, ...]], list[Result]] = {}
    for result in open_results(run):
        groups.setdefault((result.outcome, result.reason, result.remedy), []).append(result)
    return list(groups.values())


def left_out(run: Run) -> dict[str, list[Result]]:
    """What was not to be measured, by its reason: whoever signs a verdict should see what it leaves out."""
    groups: dict[str, list[Result]] = {}
    for outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
        for result in run.results:
            if result.outcome is outcome and (outcome is Outcome.NOT_APPLICABLE or not result.wanted):
                groups.setdefault(f"{outcome.words}, {printable(result.reason)}", []).append(result)
    return groups


def keys(results: list[Result]) -> str:
    """The requirements of one trouble, on one line."""
    return ", ".join(result.key for result in results)


def required(evidence: Iterable[Evidence]) -> str:
    """What the headline's quantity was last held against."""
    held = [each for item in _first(evidence) for each in item.held_against]
    return printable("; ".join(f"{each.sign} {quantity(each.value, each.unit)}" for each in held))


def rehearse_hint(run: Run) -> str | None:
    """How to rehearse, where a run was rejected for want of a GPU."""
    absent = any(result.id == "GPU-PRESENT" and result.outcome is Outcome.FAILED for result in run.results)
    return HOW_TO_REHEARSE if absent and not run.machine.gpus else None
