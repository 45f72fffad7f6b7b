"""A shortfall has the numbers of a failure, and what else its reason says stays."""

from suites.example import finished, opened, planned, short_of

from dgxcert.judgement.evidence import violation
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Result
from dgxcert.report import shortfall
from dgxcert.report.shortfall import Shortfall

SHORT = short_of(13.0)
REASON = "\n".join([*violation(SHORT, SHORT.held_against[0]), "note: the clock fell"])


def ended(outcome: Outcome, reason: str) -> Result:
    (result,) = runs.assemble(
        [opened(planned("A")), finished("A", outcome, reason=reason, evidence=(SHORT,))], "run"
    ).results
    return result


def test_a_failure_has_what_was_measured_and_required() -> None:
    failed = ended(Outcome.FAILED, REASON)
    assert shortfall.of(failed) == (Shortfall("decode", "9.8 token/s", ">= 13 token/s"),)
    assert shortfall.explanation(failed) == (
        "measured: median of 10 rounds\nrequired: limit decode.fp16: 85 % of 273 GB/s\nnote: the clock fell"
    )


def test_a_reason_in_other_words_is_kept_whole() -> None:
    reason = "  the logits are wrong\n    at row 3"
    assert shortfall.explanation(ended(Outcome.FAILED, reason)) == reason


def test_what_is_inconclusive_falls_short_of_nothing() -> None:
    unsure = ended(Outcome.INCONCLUSIVE, REASON)
    assert (shortfall.of(unsure), shortfall.explanation(unsure)) == ((), REASON)
