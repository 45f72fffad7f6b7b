"""The words of a room: counts, what is wrong, and in which order."""

from suites import rooms

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import Compared, Difference, Outlier, Problem
from dgxcert.record.room.word import Word
from dgxcert.report.room import words

PASSED, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def test_every_host_is_counted_once() -> None:
    room = rooms.room(3)
    assert words.counts(room) == {"CERTIFIED": 3, "REJECTED": 1, "not validated": len(Word) - 1}
    assert sum(words.counts(room).values()) == len(room.hosts)


def test_a_verdict_of_a_host_that_died_is_none() -> None:
    died = rooms.host(1, word=Word.DIED)
    assert words.standing(died) == "not validated: died on the way"
    assert words.counts(rooms.room(1, wrong=False, hosts=(died,))) == {"not validated": 1}
    assert words.meaning(rooms.room(1, wrong=False, hosts=(died,))) == "0 of 1 machine passed."


def test_a_host_that_is_said_to_be_validated_and_has_no_verdict_is_not() -> None:
    without = rooms.host(1, verdict=None)
    assert words.counts(rooms.room(1, wrong=False, hosts=(without,))) == {"not validated": 1}
    assert words.urgency(without) == 0


def test_meaning_says_all_only_where_all_passed() -> None:
    assert words.meaning(rooms.room(2, wrong=False)) == "All 2 machines passed."
    doubtful = (rooms.host(1), rooms.host(2, verdict=Verdict.INCONCLUSIVE))
    assert words.meaning(rooms.room(2, wrong=False, hosts=doubtful)) == "1 of 2 machines passed."


def test_a_pair_that_failed_stands_after_one_that_was_not_tested() -> None:
    failed = rooms.pair("c", "d", PASSED, FAILED, PASSED)
    pairs = (failed, rooms.pair("a", "b"), rooms.pair("e", "f", PASSED, PASSED, PASSED))
    assert words.wrong_pairs(rooms.room(2, pairs=pairs)) == [pairs[1], failed]


def test_a_pair_of_which_nothing_is_asked_is_not_wrong() -> None:
    unasked = rooms.pair("a", "b", *[Outcome.NOT_APPLICABLE] * 3)
    assert words.wrong_pairs(rooms.room(2, pairs=(unasked,))) == []


def test_many_problems_of_a_host_are_counted() -> None:
    problems = tuple(Problem(key=f"A-{at}", outcome=FAILED, reason="no\nmore") for at in range(5))
    text = words.problem(rooms.host(1, verdict=Verdict.REJECTED, problems=problems))
    assert text.startswith("A-0 failed: no")
    assert text.endswith("and 2 more")
    assert "\n" not in text


def test_spreads_keep_profiles_apart() -> None:
    hosts = (rooms.host(1), rooms.host(2), rooms.host(3, profile="h200"))
    spreads = words.spreads(rooms.room(3, wrong=False, hosts=hosts))
    assert [(each.profile, each.hosts) for each in spreads] == [("dgx-spark", 2)] * 2 + [("h200", 1)] * 2


def test_a_setting_without_a_majority_names_every_value() -> None:
    difference = Difference(
        profile="p", name="firmware", majority="", count=0, others={"1": ("a",), "2": ("b",)}, unknown=("c",)
    )
    room = rooms.room(1, differences=(difference,))
    assert words.differences(room) == ["firmware: 1 on a; 2 on b; unknown on c"]


def compared(name: str, *outliers: Outlier, divided: str = "") -> Compared:
    about = {"profile": "p", "key": name, "unit": "s", "higher_is_better": True, "values": {}, "outliers": outliers}
    return Compared(**about, name=name, median=1.0, scatter=0.1, limit=0.9, divided=divided)


def test_a_machine_that_is_slow_in_everything_hides_no_other() -> None:
    """One line for each machine, by its largest difference, then what divides the room."""
    slow = [Outlier(host="a", value=0.5, away=share, says=f"a is {share} slower") for share in (0.2, 0.5, 0.3)]
    other = Outlier(host="b", value=0.5, away=0.1, says="b is slower")
    found = (compared("x", slow[0], other), compared("y", slow[1]), compared("z", slow[2], divided="two halves"))
    room = rooms.room(3, wrong=False).model_copy(update={"compared": found})
    assert words.outliers(room) == [
        "a is 0.5 slower; it is one in 2 other quantities too",
        "b is slower",
        "two halves",
    ]


def test_what_failed_stands_before_what_could_not_be_measured_each_by_its_first_line() -> None:
    problems = (
        Problem(key="A", outcome=INCONCLUSIVE, reason="no answer\n  measured: nothing"),
        Problem(key="B", outcome=FAILED, reason="too slow\n  measured: 10 rounds"),
    )
    text = words.problem(rooms.host(1, verdict=Verdict.REJECTED, problems=problems))
    assert text == "B failed: too slow; A inconclusive: no answer"
