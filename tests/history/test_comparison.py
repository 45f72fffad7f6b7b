"""A slowdown is distinguished from noise by the measured spread; a missing benchmark is always reported."""

import random
from typing import Any

import pytest

from dgxcert.history.comparison import Change, compare, exit_code, tolerance
from dgxcert.record.timings import Timing

TRIES = 400


def timing(*seconds: float, amount: float = 10.0, spoiled: str = "", name: str = "DECODE-SPEED") -> Timing:
    return Timing(name, amount, seconds or (1.0,) * 9, spoiled)


def only(reference: list[Timing], run: Timing | None) -> Any:
    names = {run.requirement: run} if run else {}
    (benchmark,) = compare([{timing.requirement: timing} for timing in reference], names)
    return benchmark


@pytest.mark.parametrize(
    ("seconds", "change"), [(1.0, Change.SAME), (1.019, Change.SAME), (1.05, Change.SLOWER), (0.95, Change.FASTER)]
)
def test_a_change_larger_than_the_spread_is_reported(seconds: float, change: Change) -> None:
    benchmark = only([timing()], timing(*(seconds,) * 9))
    assert benchmark.change is change
    assert benchmark.more == pytest.approx(seconds - 1)
    assert benchmark.tolerance == pytest.approx(0.02)


def test_wide_rounds_allow_more() -> None:
    wide = timing(0.9, 0.92, 0.94, 0.97, 1.0, 1.03, 1.06, 1.08, 1.1)
    assert tolerance([wide], timing()) == pytest.approx((wide.within**2 + wide.wander**2 + 0.02**2) ** 0.5)
    assert only([wide], timing(*(1.05,) * 9)).change is Change.SAME


def test_drift_within_a_run_widens_the_tolerance() -> None:
    wandering = timing(*(1.0,) * 10, *(1.2,) * 10)
    assert wandering.wander == pytest.approx(0.2)
    assert only([timing()], wandering).change is Change.SAME
    assert only([timing()], timing(*(1.1,) * 20)).change is Change.SLOWER


def test_several_reference_runs_give_the_scatter_between_runs() -> None:
    steady = [timing(*(seconds,) * 9) for seconds in (0.999, 1.0, 1.001)]
    assert tolerance(steady, timing()) == pytest.approx(0.01), "never less than 1 %"
    scattered = [timing(*(seconds,) * 9) for seconds in (0.97, 1.0, 1.03)]
    assert tolerance(scattered, timing()) == pytest.approx(4.303 * 0.03 * (4 / 3) ** 0.5, rel=1e-3)


def noisy(dice: random.Random, slower: float = 1.0) -> Timing:
    """Rounds that spread by 1 % around a median that moves by 0.5 % from run to run."""
    middle = slower * dice.gauss(1.0, 0.005)
    return timing(*(middle * dice.gauss(1.0, 0.01) for _ in range(30)))


@pytest.mark.parametrize("kept", [1, 5])
def test_five_percent_is_detected_in_19_of_20_runs_with_at_most_1_false_alarm(kept: int) -> None:
    dice = random.Random(11)
    flagged = alarms = 0
    for _ in range(TRIES):
        reference = [noisy(dice) for _ in range(kept)]
        flagged += only(reference, noisy(dice, slower=1.05)).change is Change.SLOWER
        alarms += only(reference, noisy(dice)).change is Change.SLOWER
    assert flagged >= 0.95 * TRIES
    assert alarms <= 0.05 * TRIES


@pytest.mark.parametrize(
    ("reference", "run", "change", "reason"),
    [
        ([], timing(), Change.MISSING, "not in the reference"),
        ([timing()], None, Change.MISSING, "not in this run"),
        ([timing()], timing(spoiled="GPU 0 was shared"), Change.INCOMPARABLE, "GPU 0 was shared"),
        ([timing(spoiled="hot")], timing(), Change.INCOMPARABLE, "in the reference: hot"),
        ([timing()], timing(amount=11.0), Change.INCOMPARABLE, "different amount of work"),
        ([timing()], timing(1.0, 1.0), Change.INCOMPARABLE, "too few rounds"),
        ([timing(1.0)], timing(), Change.INCOMPARABLE, "too few rounds"),
    ],
)
def test_a_benchmark_that_cannot_be_compared_has_a_reason_and_is_never_a_pass(
    reference: list[Timing], run: Timing | None, change: Change, reason: str
) -> None:
    benchmark = only(reference, run)
    assert benchmark.change is change
    assert reason in benchmark.reason
    assert exit_code([benchmark]) == 2


def test_slower_missing_and_same_have_different_exit_codes() -> None:
    slower, same, missing = only([timing()], timing(*(2.0,) * 9)), only([timing()], timing()), only([timing()], None)
    assert exit_code([same]) == 0
    assert exit_code([same, missing]) == 2
    assert exit_code([missing, slower, same]) == 1
    assert exit_code([]) == 2, "nothing compared is no pass"


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_a_reference_that_scatters_does_not_let_a_slowdown_pass(runs: int) -> None:
    """Rounds that go from 1 to 10, and medians that do from run to run."""
    wide = [timing(*(float(1 + (second + shift) % 10) for second in range(30))) for shift in range(runs)]
    scattered = [timing(*(seconds,) * 9) for seconds in (1.0, 4.0, 9.0, 2.0, 6.0)][:runs]
    for reference in (wide, scattered if runs > 1 else wide):
        middle = sum(each.per_unit_s for each in reference) / len(reference) * 10.0
        benchmark = only(reference, timing(*(4 * middle,) * 30))
        assert benchmark.change is Change.SLOWER
        assert benchmark.tolerance <= 0.21


def test_it_is_said_where_the_scatter_of_a_reference_is_not_believed() -> None:
    scattered = [timing(*(seconds,) * 9) for seconds in (1.0, 4.0, 9.0)]
    assert "of which 20% is believed" in only(scattered, timing(*(4.0,) * 9)).reason
    assert only([timing()], timing()).reason == ""


def test_a_run_whose_own_rounds_differ_too_much_shows_no_speed() -> None:
    benchmark = only([timing()], timing(*(1.0,) * 10, *(3.0,) * 10))
    assert benchmark.change is Change.INCOMPARABLE
    assert "its own rounds differ by" in benchmark.reason
