"""The estimate of the time left: this machine's own past, else what is declared, corrected by this run so far."""

import pytest
from suites.example import planned

from dgxcert.plan.estimate import Estimate, duration

CASES = [planned(f"DECODE-SPEED[{case}]", takes_s=10.0) for case in ("fp16", "bf16", "nf4", "int4")]
OTHERS = [planned(f"CHECK-{number}", takes_s=1.0) for number in range(60)]
PLAN = [*CASES, *OTHERS]


def test_before_the_run_declared_durations_add_up_and_those_of_earlier_runs_replace_them() -> None:
    assert Estimate(PLAN, {}).left(PLAN) == 100.0
    known = {"DECODE-SPEED[bf16]": 4.0, "CHECK-3": 0.0, "GONE": 900.0}
    assert Estimate(PLAN, known).left(PLAN) == 93.0


def test_a_machine_of_half_the_speed_is_believed_by_the_half_of_a_run() -> None:
    estimate = Estimate(PLAN, {})
    for entry in PLAN[: len(CASES) + 10]:
        estimate.took(entry, 2 * entry.takes_s)
    left = estimate.left(PLAN[len(CASES) + 10 :])
    assert left == pytest.approx(100.0, rel=0.2), "it was declared as 50 s"


def test_a_slow_case_tells_more_about_other_cases_than_about_other_requirements() -> None:
    estimate = Estimate(PLAN, {})
    estimate.took(CASES[0], 30.0)
    case, other = estimate.of(CASES[1]) / 10.0, estimate.of(OTHERS[0]) / 1.0
    assert case > other > 1.0


def test_one_quick_check_that_was_slow_says_little() -> None:
    estimate = Estimate(PLAN, {})
    estimate.took(OTHERS[0], 8.0)
    assert estimate.left(PLAN) < 1.7 * 100.0


def test_what_was_declared_wrongly_does_not_correct_what_is_known_here() -> None:
    estimate = Estimate(PLAN, {entry.key: 1.0 for entry in OTHERS})
    for entry in CASES:
        estimate.took(entry, 50.0)
    assert estimate.left(OTHERS) == 60.0


def test_nothing_is_expected_of_nothing() -> None:
    free = planned("SWAP-UNUSED", takes_s=0.0)
    estimate = Estimate([free], {})
    estimate.took(free, 0.0)
    assert (estimate.left([free]), estimate.left([])) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (19.4, "19 s"), (89, "90 s"), (91, "2 min"), (3570, "1 h"), (3700, "1 h"), (5400, "1 h 30 min")],
)
def test_times_are_as_exact_as_they_are_known(seconds: float, said: str) -> None:
    assert duration(seconds) == said
