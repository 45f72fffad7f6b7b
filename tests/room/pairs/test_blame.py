"""Blame: a failed pair's ends are tried with other partners, and what these do says which end is at fault."""

import pytest
from suites import played_pair as played
from suites.played_pair import Change, ports_changed

from dgxcert.record.room.document import PairResult
from dgxcert.room.pairs import judge
from dgxcert.room.pairs.blame import blamed, confirmations
from dgxcert.room.pairs.rounds import Row

WELL = judge.judge(played.pair()).results
BAD = judge.judge(Change(0, ports_changed(0, gbits=100.0))(played.pair())).results
UNKNOWN = judge.judge(Change(1, ports_changed(0, gbits=None))(played.pair())).results
AT_FAULT = {"well": WELL, "bad": BAD, "unknown": UNKNOWN}


def result(row: Row, how: str, *, confirmation: bool = True) -> PairResult:
    return PairResult(hosts=row, says="is slow", results=AT_FAULT[how], confirmation=confirmation)


def failed() -> PairResult:
    return result(("a", "b"), "bad", confirmation=False)


def test_each_end_of_a_failed_pair_is_tried_with_a_partner_that_is_well() -> None:
    rows = [("a", "b"), ("a", "c"), ("d", "a"), ("b", "c")]
    known = [failed(), result(("a", "c"), "bad", confirmation=False), result(("d", "a"), "well", confirmation=False)]
    assert confirmations(known, rows) == (("d", "a"), ("b", "c"))
    assert confirmations([known[2]], rows) == ()
    assert confirmations([failed()], [("a", "b")]) == ()


def test_two_failed_pairs_try_their_common_end_once() -> None:
    rows = [("a", "b"), ("b", "c"), ("a", "c")]
    known = [failed(), result(("b", "c"), "bad", confirmation=False)]
    assert sorted(confirmations(known, rows)) == [("a", "b"), ("a", "c"), ("b", "c")]


VERDICTS: dict[str, tuple[list[PairResult], str]] = {
    "the cable": (
        [result(("a", "c"), "well"), result(("d", "b"), "well")],
        "a with c and b with d are well, so that the cable between a and b is at fault, or its ports",
    ),
    "one end": (
        [result(("a", "c"), "bad"), result(("b", "d"), "well")],
        "a fails with c too, and b is well with d: a is at fault",
    ),
    "the other, or the cable": ([result(("a", "c"), "well")], "a is well with c: b or the cable is at fault"),
    "maybe this end": ([result(("a", "c"), "bad")], "a fails with c too, so that it may be at fault; try b elsewhere"),
    "both": ([result(("a", "c"), "bad"), result(("b", "c"), "bad")], "both ends fail with other partners too"),
    "nobody knows": ([result(("a", "c"), "unknown")], "no other pair of its ends was tested"),
    "nobody asked": ([], "no other pair of its ends was tested"),
}


@pytest.mark.parametrize("which", VERDICTS)
def test_who_is_at_fault(which: str) -> None:
    confirmed, said = VERDICTS[which]
    assert said in blamed(failed(), confirmed).says
    assert blamed(failed(), confirmed).says.startswith("is slow; ")


def test_a_pair_that_has_not_failed_is_left_as_it_is() -> None:
    well = result(("a", "b"), "well", confirmation=False)
    assert blamed(well, [result(("a", "c"), "bad")]) is well
