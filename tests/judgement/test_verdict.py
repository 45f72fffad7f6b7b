"""The verdict is that of the table of outcomes and verdicts, for every combination of outcomes."""

import itertools
from collections.abc import Iterator

import pytest

from dgxcert.judgement.verdict import Ending, Verdict, count, judge, tally
from dgxcert.outcome import Outcome

PROVED, WRONG, OPEN, ASIDE = "proved", "wrong", "open", "set aside"

MEANING = {
    # outcome, what the plan said: what it leaves of the question
    ("passed", "to be run"): PROVED,
    ("passed", "excluded"): PROVED,
    ("passed", "deselected"): PROVED,
    ("failed", "to be run"): WRONG,
    ("failed", "excluded"): WRONG,
    ("failed", "deselected"): WRONG,
    ("inconclusive", "to be run"): OPEN,
    ("inconclusive", "excluded"): OPEN,
    ("inconclusive", "deselected"): OPEN,
    ("not_applicable", "to be run"): OPEN,  # only the profile may say so
    ("not_applicable", "excluded"): ASIDE,
    ("not_applicable", "deselected"): OPEN,
    ("not_run", "to be run"): OPEN,  # lost
    ("not_run", "excluded"): OPEN,
    ("not_run", "deselected"): ASIDE,
}

FLAGS = {"to be run": (False, False), "excluded": (True, False), "deselected": (False, True)}
"""The decision of the plan: (excluded, deselected)."""

ALWAYS = {(certifies, whole) for certifies in (True, False) for whole in (True, False)}

TABLE = {
    # wrong, open, proved: the verdict for each (certifies, whole)
    (True, True, True): dict.fromkeys(ALWAYS, "REJECTED"),
    (True, True, False): dict.fromkeys(ALWAYS, "REJECTED"),
    (True, False, True): dict.fromkeys(ALWAYS, "REJECTED"),
    (True, False, False): dict.fromkeys(ALWAYS, "REJECTED"),
    (False, True, True): dict.fromkeys(ALWAYS, "INCONCLUSIVE"),
    (False, True, False): dict.fromkeys(ALWAYS, "INCONCLUSIVE"),
    (False, False, False): dict.fromkeys(ALWAYS, "INCONCLUSIVE"),  # nothing was proved
    (False, False, True): {
        (True, True): "CERTIFIED",
        (False, True): "REHEARSED",
        (True, False): "PARTIAL",
        (False, False): "PARTIAL",
    },
}


def kinds() -> list[tuple[Ending, str]]:
    """Every kind of outcome that a plan allows, and what it means."""
    return [(Ending(Outcome(outcome), *FLAGS[said]), meaning) for (outcome, said), meaning in MEANING.items()]


def combinations() -> Iterator[tuple[tuple[Ending, ...], tuple[bool, bool, bool]]]:
    """Every set of kinds that can be present together, the empty one included."""
    for size in range(len(MEANING) + 1):
        for chosen in itertools.combinations(kinds(), size):
            meanings = {meaning for _, meaning in chosen}
            yield tuple(ending for ending, _ in chosen), (WRONG in meanings, OPEN in meanings, PROVED in meanings)


def test_the_specification_names_every_outcome_under_every_plan() -> None:
    assert set(MEANING) == set(itertools.product((outcome.value for outcome in Outcome), FLAGS))


def test_every_combination_of_outcomes_has_the_verdict_of_the_table() -> None:
    wrong = []
    seen = 0
    for endings, present in combinations():
        for (certifies, whole), wanted in TABLE[present].items():
            seen += 1
            if judge(endings, certifies=certifies, whole=whole).value != wanted:
                wrong.append((endings, certifies, whole, wanted))
    assert seen == 4 * 2 ** len(MEANING)
    assert not wrong, f"{len(wrong)} wrong, the first: {wrong[0]}"


@pytest.mark.parametrize("certifies", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_the_empty_run_is_inconclusive(certifies: bool, whole: bool) -> None:
    assert judge([], certifies=certifies, whole=whole) is Verdict.INCONCLUSIVE


def test_neither_order_nor_number_nor_a_generator_changes_a_verdict() -> None:
    for chosen in itertools.permutations([ending for ending, _ in kinds()], 2):
        once = judge(chosen, certifies=True, whole=True)
        assert judge(reversed(chosen), certifies=True, whole=True) is once
        assert judge(iter(chosen * 3), certifies=True, whole=True) is once


@pytest.mark.parametrize("outcome", Outcome)
def test_excluded_and_deselected_together_are_never_better_than_either(outcome: Outcome) -> None:
    passed = Ending(Outcome.PASSED)
    both = judge([passed, Ending(outcome, excluded=True, deselected=True)], certifies=True, whole=True)
    single = {
        judge([passed, Ending(outcome, excluded=excluded, deselected=not excluded)], certifies=True, whole=True)
        for excluded in (True, False)
    }
    assert both in single


@pytest.mark.parametrize(
    ("verdict", "code"), [("CERTIFIED", 0), ("REHEARSED", 0), ("PARTIAL", 0), ("REJECTED", 1), ("INCONCLUSIVE", 2)]
)
def test_every_verdict_has_its_exit_code(verdict: str, code: int) -> None:
    assert Verdict(verdict).exit_code == code


def test_there_are_no_other_verdicts() -> None:
    assert {verdict.value for verdict in Verdict} == {value for row in TABLE.values() for value in row.values()}


def test_the_five_counts_are_always_named() -> None:
    counts = count([Outcome.PASSED, Outcome.PASSED, Outcome.NOT_RUN])
    assert counts == {"passed": 2, "failed": 0, "inconclusive": 0, "not_applicable": 0, "not_run": 1}
    assert tally(counts) == "2 passed, 0 failed, 0 inconclusive, 0 not applicable, 1 not run"
