"""The runs in docs/measurements as runs that this dgxcert reads, though an earlier one wrote some."""

import json
from pathlib import Path

from dgxcert.judgement.verdict import Ending, count, judge
from dgxcert.outcome import Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record.run import Judgement, Result, Run

ROOT = Path(__file__).parents[2]
MEASUREMENTS = ROOT / "docs" / "measurements"


def load(name: str) -> Run:
    """The run in a folder of docs/measurements, `2026-11-27-h200/second`, with today's profile in place of its own."""
    content = json.loads((MEASUREMENTS / name / "run.json").read_text(encoding="utf-8"))
    content["profile"] = profiles.load(content["profile"]["name"]).model_dump(mode="json")
    return Run.model_validate_json(json.dumps(content))


def rehearsal() -> Run:
    """The kept rehearsal in the container, as it was written."""
    return Run.model_validate_json((MEASUREMENTS / "2026-11-30-rehearsal" / "run.json").read_text(encoding="utf-8"))


def h200() -> Run:
    """Both runs of 2026-11-27 as one partial run, of what either of them measured.

    What a machine without a clock, a Hub and a lock could not have, as both machines were, counts as deselected.
    """
    first, second = load("2026-11-27-h200/first"), load("2026-11-27-h200/second")
    results = tuple(_measured(*pair) for pair in zip(first.results, second.results, strict=True))
    endings = [
        Ending(each.outcome, excluded=each.outcome is Outcome.NOT_APPLICABLE, deselected=not each.wanted)
        for each in results
    ]
    verdict = judge(endings, certifies=False, whole=False)
    judgement = Judgement(verdict=verdict, exit_code=verdict.exit_code, counts=count(each.outcome for each in results))
    return first.model_copy(update={"results": results, "judgement": judgement, "notes": ()})


def _measured(first: Result, second: Result) -> Result:
    """What one of both measured, the second where both did."""
    for each in (second, first):
        if each.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE):
            return each
    unwanted = {"outcome": Outcome.NOT_RUN, "wanted": False, "reason": "deselected by --only", "remedy": ()}
    return first.model_copy(update={**unwanted, "evidence": (), "traces": ()})
