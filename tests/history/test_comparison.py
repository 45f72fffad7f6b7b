"""A slowdown is told from noise by the spread that was measured, and what is missing is never passed over."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from dgxcert.history.comparison import Change, compare, exit_code, tolerance
from dgxcert.outcome import CannotStart
from dgxcert.record import timings
from dgxcert.record.timings import Timing

TRIES = 400


def timing(*seconds: float, amount: float = 10.0, spoiled: str = "", name: str = "DECODE-SPEED") -> Timing:
    return Timing(name, amount, seconds or (1.0,) * 9, spoiled)


def only(reference: list[Timing], run: Timing | None) -> Any:
    names = {each.requirement: each for each in [run] if each}
    (found,) = compare([{each.requirement: each} for each in reference], names)
    return found


@pytest.mark.parametrize(
    ("seconds", "change"), [(1.0, Change.SAME), (1.019, Change.SAME), (1.05, Change.SLOWER), (0.95, Change.FASTER)]
)
def test_what_moves_more_than_its_spread_is_told(seconds: float, change: Change) -> None:
    found = only([timing()], timing(*(seconds,) * 9))
    assert found.change is change
    assert found.more == pytest.approx(seconds - 1)
    assert found.tolerance == pytest.approx(0.02)


def test_wide_rounds_allow_more() -> None:
    wide = timing(0.9, 0.92, 0.94, 0.97, 1.0, 1.03, 1.06, 1.08, 1.1)
    assert tolerance([wide], timing()) == pytest.approx((wide.within**2 + wide.wander**2 + 0.02**2) ** 0.5)
    assert only([wide], timing(*(1.05,) * 9)).change is Change.SAME


def test_a_machine_that_wanders_within_a_run_does_so_between_two() -> None:
    wandering = timing(*(1.0,) * 10, *(1.2,) * 10)
    assert wandering.wander == pytest.approx(0.2)
    assert only([timing()], wandering).change is Change.SAME
    assert only([timing()], timing(*(1.1,) * 20)).change is Change.SLOWER


def test_several_runs_give_their_own_scatter() -> None:
    steady = [timing(*(seconds,) * 9) for seconds in (0.999, 1.0, 1.001)]
    assert tolerance(steady, timing()) == pytest.approx(0.01), "never less than 1 %"
    scattered = [timing(*(seconds,) * 9) for seconds in (0.97, 1.0, 1.03)]
    assert tolerance(scattered, timing()) == pytest.approx(4.303 * 0.03 * (4 / 3) ** 0.5, rel=1e-3)


def noisy(dice: random.Random, slower: float = 1.0) -> Timing:
    """Rounds that spread by 1 % around a median that moves by 0.5 % from run to run."""
    middle = slower * dice.gauss(1.0, 0.005)
    return timing(*(middle * dice.gauss(1.0, 0.01) for _ in range(30)))


@pytest.mark.parametrize("kept", [1, 5])
def test_five_percent_is_flagged_19_times_in_20_and_nothing_once_at_the_most(kept: int) -> None:
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
def test_what_cannot_be_compared_says_why_and_is_never_a_pass(
    reference: list[Timing], run: Timing | None, change: Change, reason: str
) -> None:
    found = only(reference, run)
    assert found.change is change
    assert reason in found.reason
    assert exit_code([found]) == 2


def test_the_exit_code_tells_slower_from_missing_from_well() -> None:
    slower, same, missing = only([timing()], timing(*(2.0,) * 9)), only([timing()], timing()), only([timing()], None)
    assert exit_code([same]) == 0
    assert exit_code([same, missing]) == 2
    assert exit_code([missing, slower, same]) == 1
    assert exit_code([]) == 2, "nothing compared is no pass"


def entry(**info: Any) -> dict[str, Any]:
    return {"extra_info": {"requirement": "X", "amount": 2.0} | info, "stats": {"data": [1.0, 3.0]}}


def test_rounds_are_read_from_pytest_benchmarks_file(tmp_path: Path) -> None:
    content = {"benchmarks": [entry(), {"extra_info": {}, "stats": {"data": [1.0]}}]}
    (tmp_path / "benchmark.json").write_text(json.dumps(content), encoding="utf-8")
    found = timings.read(tmp_path)
    assert list(found) == ["X"]
    assert found["X"].per_unit_s == pytest.approx(1.0)
    assert not found["X"].spoiled


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"disturbance": "GPU 0 was shared"}, "GPU 0 was shared"),
        ({"compiled": 2}, "compiled 2 times"),
        ({"hot": 0.06}, "for heat 6%"),
        ({"hot": 0.05}, ""),
        ({"device": "cpu", "others": 0.11}, "other processes used 11% of the CPU"),
        ({"device": "cpu", "others": 0.1}, ""),
        ({"device": "cuda", "others": 0.9}, ""),
        ({"hot": None, "compiled": 0, "disturbance": None}, ""),
    ],
)
def test_what_spoils_rounds_is_named(info: dict[str, Any], words: str) -> None:
    spoiled = timings.parse({"benchmarks": [entry(**info)]})["X"].spoiled
    assert words in spoiled
    assert bool(words) == bool(spoiled)


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmarks": [{"extra_info": {"requirement": "X"}}]}', "{}"])
def test_a_broken_file_and_none_are_told_apart(tmp_path: Path, text: str) -> None:
    with pytest.raises(CannotStart, match="is missing: this run timed no benchmark"):
        timings.read(tmp_path)
    (tmp_path / "benchmark.json").write_text(text, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"benchmark\.json cannot be read"):
        timings.read(tmp_path)
