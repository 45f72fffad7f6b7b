"""The meaning of a verdict counts its waivers, and one problem of several requirements is one group."""

from datetime import date

import pytest
from suites.certified import run as certified
from suites.example import HELD, MEASURED, finished, short_of

from dgxcert.outcome import Outcome
from dgxcert.profiles.waivers import Waiver
from dgxcert.record.run import Run
from dgxcert.report import words

WAIVER = Waiver(
    requirement="DISK-SPACE",
    machine="spark-07",
    reason="models are on NFS",
    who="Ada Lovelace",
    until=date(2027, 1, 31),
)
FULL = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")


def test_a_certificate_with_a_waiver_reports_it() -> None:
    assert words.meaning(certified(FULL, waivers=(WAIVER,))).endswith("on this machine, except 1 that is waived")


def test_a_rejection_does_not_count_its_waivers() -> None:
    absent = finished("GPU-PRESENT", Outcome.FAILED, reason="no GPU")
    assert words.meaning(certified(FULL, absent, waivers=(WAIVER,))).endswith("; not counting 1 that is waived")


def test_problems_of_one_reason_are_one_group_and_failures_come_first(run: Run) -> None:
    assert [words.keys(results) for results in words.problems(run)] == ["SHORT[int4]", "UNSEEN, UNREAD", "LOST"]


def test_deselected_and_inapplicable_requirements_are_grouped_by_reason(run: Run) -> None:
    grouped = {reason: words.keys(results) for reason, results in words.not_measured(run).items()}
    assert grouped == {
        "not applicable, no GPU": "EXCUSED",
        "not run, deselected by --only": "DESELECTED",
    }


def test_what_failed_is_headed_by_what_fell_short_whatever_was_measured_after_it() -> None:
    short, held = short_of(13.0), HELD
    assert words.headline([short, held]) == "decode 9.8 token/s"
    assert words.required([short, held]) == ">= 13 token/s"
    assert words.headline([MEASURED, held]) == "works 1"


def test_a_limit_that_was_compared_twice_is_said_once() -> None:
    short = short_of(13)
    twice = short.model_copy(update={"held_against": short.held_against * 2})
    assert words.required([twice]) == ">= 13 token/s"


@pytest.mark.parametrize("longest", [6, 34, 100])
def test_shortened_text_names_what_is_missing(longest: int) -> None:
    text = "Xid 79: GPU has fallen off the bus"
    more = len(text) - longest
    assert (f"{more} more characters" in words.shortened(text, longest)) is (more > 0)
