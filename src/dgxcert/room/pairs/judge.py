"""The judge of a pair: from what both ends answered to a result for each requirement. Pure.

As everywhere, what could not be measured is inconclusive, and only a comparison that does not hold, or wrong data,
fails. A result that is slow because of its conditions is inconclusive, too.
"""

from collections.abc import Callable

from dgxcert.console import on_one_line
from dgxcert.judgement.evidence import Recorder, violation
from dgxcert.judgement.requirement import Requirement
from dgxcert.outcome import Inconclusive, Outcome, Wrong
from dgxcert.record.room.document import PairResult
from dgxcert.record.run import Result
from dgxcert.room.pairs import causes, collectives, link, requirements, training, work_causes
from dgxcert.room.pairs.causes import Cause
from dgxcert.room.pairs.ends import Pair
from dgxcert.room.pairs.requirements import COLLECTIVES, GROUP, LINK, TRAINING

SEE_LINK = "the cable is not as it should be: see PAIR-LINK"
MOST_SAID = 300
HEADLINE = "all_reduce"

Judge = Callable[[Recorder, Pair], None]


def judge(pair: Pair) -> PairResult:
    """All requirements of a pair, and how it is in a sentence."""
    excluded = not_applicable(pair)
    if excluded is not None:
        return excluded
    by_link = _judged(LINK, link.judge, pair, causes.of)
    if by_link.outcome is Outcome.FAILED and not _worked(pair):
        later = tuple(_result(each, Outcome.INCONCLUSIVE, SEE_LINK, LINK.remedy) for each in (COLLECTIVES, TRAINING))
    else:
        later = (
            _judged(COLLECTIVES, collectives.judge, pair, work_causes.of),
            _judged(TRAINING, training.judge, pair, lambda _: ()),
        )
    results = (by_link, *later)
    return PairResult(hosts=pair.names, says=_says(pair, results), results=results, gbs=_headline(pair))


def _worked(pair: Pair) -> bool:
    """Whether both ends have worked together at all."""
    return all(end.work is not None for end in pair.ends)


def not_applicable(pair: Pair) -> PairResult | None:
    """The result of a pair whose profile has no figures of pairs; None where it has."""
    for end in pair.ends:
        why = {each.id: end.profile.not_applicable_pair.get(each.id, "") for each in requirements.ALL}
        if all(why.values()):
            results = tuple(
                _result(each, Outcome.NOT_APPLICABLE, f"{why[each.id]} ({end.profile.name})", ())
                for each in requirements.ALL
            )
            says = f"was not tested: profile {end.profile.name} of {end.name}: {why[LINK.id]}"
            return PairResult(hosts=pair.names, says=says, results=results)
    return None


def _judged(
    requirement: Requirement, compare: Judge, pair: Pair, explain: Callable[[Pair], tuple[Cause, ...]]
) -> Result:
    """Compare, and make of it what a test would: a violation outranks whatever else was raised."""
    evidence = Recorder()
    problem, wrong = "", False
    remedy: tuple[str, ...] = ()
    try:
        compare(evidence, pair)
    except Inconclusive as error:
        problem, remedy = error.problem, error.remedy
    except Wrong as error:
        problem, remedy, wrong = error.problem, error.remedy, True
    violations = [line for each in evidence.violated for line in violation(*each)]
    if evidence.disturbance and not wrong:
        reason = "\n".join([*violations, f"  but {evidence.disturbance}"])
        return _result(requirement, Outcome.INCONCLUSIVE, reason, requirement.remedy, evidence)
    if violations or wrong:
        found = explain(pair)
        reason = "\n".join(filter(None, [*(cause.says for cause in found), *violations, problem]))
        steps = tuple(dict.fromkeys(step for cause in found for step in cause.remedy)) or remedy
        return _result(requirement, Outcome.FAILED, reason, steps or requirement.remedy, evidence)
    if problem or not evidence.compared:
        reason = problem or "nothing was compared with a limit, so that nothing was proved"
        return _result(requirement, Outcome.INCONCLUSIVE, reason, remedy or requirement.remedy, evidence)
    return _result(requirement, Outcome.PASSED, "", (), evidence)


def _result(
    requirement: Requirement, outcome: Outcome, reason: str, remedy: tuple[str, ...], evidence: Recorder | None = None
) -> Result:
    return Result(
        key=requirement.id,
        id=requirement.id,
        group=GROUP,
        title=requirement.title,
        why=requirement.why,
        tier=requirement.tier,
        wanted=True,
        stage=None,
        outcome=outcome,
        reason=reason,
        remedy=remedy,
        evidence=tuple(evidence.kept) if evidence else (),
        started=None,
        duration_s=None,
        log=None,
    )


def _says(pair: Pair, results: tuple[Result, ...]) -> str:
    """How the pair is: the first thing that is wrong, or its speed."""
    bad = next((each for each in results if each.outcome is Outcome.FAILED), None)
    bad = bad or next((each for each in results if each.outcome is Outcome.INCONCLUSIVE), None)
    if bad is None:
        speed = _headline(pair)
        return f"all_reduce reaches {speed:.4g} GB/s" if speed else "in order"
    first = bad.reason.splitlines()[0] if bad.reason else "no reason is known"
    return f"{bad.id} {bad.outcome.label}: {on_one_line(first)[:MOST_SAID]}"


def _headline(pair: Pair) -> float | None:
    """Bus bandwidth of all_reduce in GB/s."""
    first = pair.ends[0].work
    return next((speed.gbs for speed in first.speeds if speed.operation == HEADLINE), None) if first else None
