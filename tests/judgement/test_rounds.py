"""Throughput is work divided by total time; an impossible or disturbed rate is inconclusive."""

import math
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paths import BENCHMARKS

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.rounds import Around, Rounds, Work, known_within, rate
from dgxcert.machine.device import Device
from dgxcert.outcome import DISTURBED, UNEXPLAINED, Disturbed, Inconclusive

UNIT = "TFLOP/s"

CPU = Device("cpu", 0, "CPU")
ALONE = Around()
SPREAD = Limit(name="spread", max=0.125, unit="of median", source="healthy units stay within it")


def bound(value: float, source: str = "data sheet", unit: str = UNIT) -> Bound:
    return Bound(value=value, unit=unit, source=source)


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture
def judged(evidence: Recorder) -> Callable[..., Quantity]:
    """Rounds of 10 TFLOP each, put through `rate`."""

    def judge(
        *seconds: float, device: Device = CPU, spread: Limit = SPREAD, around: Around = ALONE, **bounds: Any
    ) -> Quantity:
        work = Work(device, 10.0, **{"roofline": bound(100.0)} | bounds)
        rounds = Rounds(seconds, device.other_processes(), around)
        return rate(evidence, "matmul", work, rounds, unit=UNIT, spread=spread)

    return judge


def test_throughput_is_work_divided_by_total_time(judged: Callable[..., Quantity]) -> None:
    seconds = (1.0, 1.0, 1.0, 1.0, 1.5)
    measured = judged(*seconds)
    assert measured.number == pytest.approx(50 / 5.5)
    assert measured.number < statistics.mean(10 / each for each in seconds), "a mean of rates flatters"


def test_the_rounds_and_both_bounds_are_kept_with_the_rate(judged: Callable[..., Quantity], evidence: Recorder) -> None:
    judged(1.0, 1.02, 1.01, ceiling=bound(50.0, "measured here"))
    kept = evidence.kept[0]
    assert kept.rounds_s == (1.0, 1.02, 1.01)
    assert kept.roofline == bound(100.0)
    assert kept.ceiling == bound(50.0, "measured here")
    assert kept.source.startswith("3 rounds of 10 TFLOP, 3.03 s in all, median 1.01 s known within inf%, spread 1.0%, ")
    assert kept.source.endswith("9.9% of roofline, 19.8% of ceiling")
    assert (evidence.kept[-1].name, evidence.kept[-1].unit) == ("spread of matmul", "of median")


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    assert Rounds((1.0, 2.0, 3.0, 4.0, 5.0)).spread == pytest.approx((4 - 2) / 3)
    assert Rounds((5.0, 1.0, 4.0, 2.0, 3.0)).spread == pytest.approx((4 - 2) / 3)


def test_one_outlier_changes_the_rate_and_counts_as_noise(judged: Callable[..., Quantity]) -> None:
    assert Rounds((2.44,) * 5 + (9.8,)).spread == pytest.approx(0.503, abs=0.01)
    with pytest.raises(Inconclusive, match="too noisy"):
        judged(*(1.0,) * 9, 3.0)


@pytest.mark.parametrize("seconds", [0.0999, 0.0981])
def test_a_rate_two_percent_above_the_roofline_is_accepted(judged: Callable[..., Quantity], seconds: float) -> None:
    assert judged(seconds, seconds, seconds).number > 100


@pytest.mark.parametrize("seconds", [0.0979, 0.01])
def test_a_rate_above_the_roofline_is_inconclusive(
    judged: Callable[..., Quantity], evidence: Recorder, seconds: float
) -> None:
    with pytest.raises(Inconclusive, match=r"measurement is wrong: .*physics allows 100 TFLOP/s \(data sheet\)"):
        judged(seconds, seconds, seconds)
    assert evidence.kept[0].rounds_s == (seconds,) * 3, "what is not believed is kept all the same"


def test_16_bits_slower_than_32_is_inconclusive(judged: Callable[..., Quantity]) -> None:
    floor = bound(10.0, "fp32 products, measured in this run")
    with pytest.raises(Inconclusive, match=r"cannot be below 10 TFLOP/s \(fp32 products"):
        judged(1.01, 1.01, 1.01, floor=floor)
    assert judged(1.0, 1.0, 1.0, floor=floor).number == pytest.approx(10)


def test_a_rate_above_the_measured_ceiling_is_inconclusive(judged: Callable[..., Quantity]) -> None:
    """One of the two was measured wrongly, and shares of such a ceiling would be too high."""
    assert judged(1.0, 1.0, 1.0, ceiling=bound(9.81)).number == 10.0
    assert judged(1.0, 1.0, 1.0, ceiling=bound(5.0), grace=3.0).number == 10.0
    for below in ({"ceiling": bound(9.8)}, {"ceiling": bound(3.3), "grace": 3.0}):
        with pytest.raises(Inconclusive, match="this machine's own peaks allow"):
            judged(1.0, 1.0, 1.0, **below)


@pytest.mark.parametrize("name", ["roofline", "ceiling", "floor"])
def test_a_bound_in_another_unit_is_refused(judged: Callable[..., Quantity], name: str) -> None:
    """Without it, 100 GB/s would be compared with a limit in TFLOP/s."""
    with pytest.raises(TypeError, match="matmul is in TFLOP/s, a bound of it in GB/s"):
        judged(1.0, 1.0, 1.0, **{name: bound(1.0, unit="GB/s")})


def test_rounds_that_differ_too_much_are_inconclusive(judged: Callable[..., Quantity]) -> None:
    assert judged(0.9375, 0.9375, 1.0, 1.0625, 1.0625).number == pytest.approx(10), "a spread of 12.5 % is allowed"
    with pytest.raises(Inconclusive, match=r"too noisy to judge: rounds spread 13\.0%, limit spread allows 12\.5%"):
        judged(0.935, 0.935, 1.0, 1.065, 1.065)


def test_a_spread_limit_without_an_upper_edge_allows_nothing(judged: Callable[..., Quantity]) -> None:
    with pytest.raises(Inconclusive, match="limit spread has no max"):
        judged(1.0, 1.0, 1.0, spread=Limit(name="spread", min=0, unit="of median", source="a slip"))


def test_a_shared_device_is_disturbed(evidence: Recorder) -> None:
    with pytest.raises(Disturbed, match="matmul: GPU 0 was shared") as raised:
        judge_shared(evidence, disturbance="GPU 0 was shared")
    assert raised.value.remedy == ("Stop the other work on this device and run again.",)
    assert raised.value.repeats == DISTURBED


def test_a_device_that_may_have_been_shared_is_inconclusive_and_not_repeated(evidence: Recorder) -> None:
    with pytest.raises(Inconclusive, match="matmul: cannot tell whether GPU 0 was shared") as raised:
        judge_shared(evidence, unknown="cannot tell whether GPU 0 was shared")
    assert not isinstance(raised.value, Disturbed)


def judge_shared(evidence: Recorder, **about: str) -> None:
    rounds = Rounds((1.0, 1.0, 1.0), **about)  # type: ignore[arg-type]
    rate(evidence, "matmul", Work(CPU, 10.0, bound(1e9)), rounds, unit=UNIT, spread=SPREAD)


NOISY = (0.5, 1.0, 1.5, 1.0, 2.0)
NEIGHBOUR = Around(others=0.05, busiest=0.61)


@pytest.mark.parametrize(
    ("around", "repeats", "said"),
    [
        (NEIGHBOUR, DISTURBED, "; other processes used 5% of the CPU while it was timed, 61% at times"),
        (Around(others=0.11), DISTURBED, "other processes used 11% of the CPU"),
        (Around(others=0.1, busiest=0.25), UNEXPLAINED, "; no other work was seen"),
    ],
)
def test_noisy_rounds_are_repeated_twice_beside_a_neighbour_and_once_without(
    judged: Callable[..., Quantity], around: Around, repeats: int, said: str
) -> None:
    with pytest.raises(Disturbed, match=said) as raised:
        judged(*NOISY, around=around)
    assert raised.value.repeats == repeats


@pytest.mark.parametrize(("slowed", "cause"), [({"hot": 0.06}, "heat 6%"), ({"braked": 0.06}, "power 6%")])
@pytest.mark.parametrize("beside", [{}, {"busiest": 0.9}])
def test_a_gpu_that_slows_itself_down_is_not_waited_for(
    judged: Callable[..., Quantity], slowed: dict[str, float], cause: str, beside: dict[str, float]
) -> None:
    with pytest.raises(Inconclusive, match=f"too noisy.*the GPU slowed down for {cause} of the time") as raised:
        judged(*NOISY, around=Around(**slowed, **beside))
    assert not isinstance(raised.value, Disturbed)


@pytest.mark.parametrize("share", ["hot", "braked"])
def test_a_slowdown_of_a_few_samples_explains_no_noise(judged: Callable[..., Quantity], share: str) -> None:
    with pytest.raises(Disturbed):
        judged(*NOISY, around=Around(**{share: 0.05}))


def test_a_rate_is_only_doubted_where_others_used_much_of_the_cpu(
    judged: Callable[..., Quantity], evidence: Recorder
) -> None:
    limit = Limit(name="matmul", min=11, unit=UNIT, source="data sheet")
    assert not judged(1.0, 1.0, 1.0, around=Around(others=0.1, busiest=0.9)) >= limit
    assert evidence.disturbance == "", "a burst explains no rate that is too low"


def test_a_rate_below_its_limit_beside_a_neighbour_is_doubted(
    judged: Callable[..., Quantity], evidence: Recorder
) -> None:
    limit = Limit(name="matmul", min=11, unit=UNIT, source="data sheet")
    around = Around(others=0.2, busiest=0.3)
    assert not judged(1.0, 1.0, 1.0, around=around) >= limit
    assert evidence.disturbance == around.neighbours


def test_two_rounds_are_too_few_to_know_the_spread() -> None:
    with pytest.raises(Inconclusive, match="timed 2 rounds, at least 3 are needed"):
        Rounds((1.0, 1.0))
    assert Rounds((1.0, 1.0, 1.0)).total_s == 3.0


@pytest.mark.parametrize("stopped", [0.0, -0.5])
def test_a_clock_that_stops_or_runs_backwards_is_inconclusive(stopped: float) -> None:
    with pytest.raises(Inconclusive, match="the timer is wrong"):
        Rounds((1.0, stopped, 1.0))


@pytest.mark.parametrize(
    ("count", "rank"), [(5, 0), (6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (50, 18), (60, 22), (61, 22), (100, 40)]
)
def test_the_interval_of_a_median_uses_published_ranks(count: int, rank: int) -> None:
    """Conover, Practical Nonparametric Statistics, table of binomial ranks for p = 0.5 and 95 %."""
    seconds = [1.0 + place / 100 for place in range(count)]
    wanted = math.inf if rank == 0 else (seconds[-rank] - seconds[rank - 1]) / 2 / statistics.median(seconds)
    assert known_within(seconds) == pytest.approx(wanted)


def test_the_interval_contains_the_true_median_in_95_of_100_cases() -> None:
    dice = random.Random(5)
    held = 0
    for _ in range(1000):
        seconds = [dice.lognormvariate(0, 0.1) for _ in range(15)]
        half = known_within(seconds) * statistics.median(seconds)
        ordered = sorted(seconds)
        low = ordered[3]  # the fourth of 15, by the ranks above
        held += low <= 1.0 <= low + 2 * half
    assert held >= 930


def test_drift_is_how_much_slower_the_second_half_is() -> None:
    assert Rounds((1.0, 1.0, 9.0, 1.1, 1.1)).drift == pytest.approx(0.1)
    assert Rounds((1.1, 1.1, 1.0, 1.0)).drift == pytest.approx(-1 / 11)


def test_rounds_during_which_code_was_compiled_are_inconclusive(judged: Callable[..., Quantity]) -> None:
    with pytest.raises(Inconclusive, match="matmul: code was compiled 2 times while it was timed"):
        judged(1.0, 1.0, 1.0, around=Around(compiled=2))


def test_conditions_during_the_rounds_are_recorded_and_not_compared(
    judged: Callable[..., Quantity], evidence: Recorder
) -> None:
    around = Around(4, False, 0, 0.25, 3 * 2**30, power_w=50.0, clock_mhz=1800.0, hot=0.1)
    judged(1.0, 1.0, 1.0, around=around)
    kept = {each.name: (each.value, each.unit) for each in evidence.kept[1:]}
    assert kept["others of matmul"] == (0.25, "of processors")
    assert kept["peak memory of matmul"] == (3.0, "GiB")
    assert kept["energy of matmul"] == (5.0, "J/TFLOP"), "50 W for 3 s over 30 TFLOP"
    assert kept["slowed down for heat of matmul"] == (0.1, "of time")
    assert "not steady" in evidence.kept[1].source
    assert not any(each.held_against for each in evidence.kept)


STEPS = (
    "time_rounds(benchmark, workload, profile, evidence)",
    "workload.verify(evidence)",
    " = rate(",
    "assert measured",
)
STEPS_OF = {
    "test_lora_scaling": ("scaling.measured(", "together.verify(evidence)", "together.measure(", "assert share")
}
"""Of a benchmark whose rounds are those of several processes and compared with each process alone."""


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("test_*.py")), ids=lambda path: path.stem)
def test_sharing_is_checked_at_once_and_a_wrong_result_fails_at_any_speed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    steps = STEPS_OF.get(path.stem, STEPS)
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
