"""Rounds count once they are steady, end once their median is known, and what goes on meanwhile is noticed."""

import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.rounds import Work, known_within
from dgxcert.machine.device import Device
from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import processors
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Timing
from dgxcert.workloads import round_timer

CPU = Device("cpu", 0, "CPU")
WORK = Work(CPU, 1.0, Bound(value=1e9, unit="step/s", source="test"))


class Clock:
    """A clock that only made-up rounds move, so that no test waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(round_timer.time, "monotonic", found)
    return found


class Played:
    """A workload whose rounds take what it is told, in turn, the last one for ever."""

    work = WORK

    def __init__(self, clock: Clock, seconds: Iterator[float]) -> None:
        self._clock, self._seconds = clock, seconds
        self.count = 0

    def rounds(self, each: round_timer.Each) -> None:
        going = True
        while going:
            seconds = next(self._seconds)
            self._clock.now += seconds
            self.count += 1
            going = each(seconds)


def fixture() -> Any:
    """pytest-benchmark's fixture, as far as timing knows it."""
    data: list[float] = []
    found = SimpleNamespace(stats=None, extra_info={})

    def pedantic(target: Callable[..., None], args: tuple[Any, ...]) -> None:
        found.stats = SimpleNamespace(stats=SimpleNamespace(data=data))
        target(*args)

    found.pedantic = pedantic
    return found


@pytest.fixture
def profile() -> Profile:
    found = profiles.load("cpu")
    sizes = Timing(warm_up_s=10, seconds=8, within=0.01, least_rounds=6)
    return found.model_copy(update={"workloads": found.workloads.model_copy(update={"timing": sizes})})


def series(*first: float, then: float | tuple[float, ...] = 0.1) -> Iterator[float]:
    yield from first
    while True:
        yield from then if isinstance(then, tuple) else (then,)


def timed(clock: Clock, profile: Profile, seconds: Iterator[float]) -> tuple[Any, Any, Played]:
    benchmark, workload = fixture(), Played(clock, seconds)
    return round_timer.timed(benchmark, workload, profile, Recorder()), benchmark, workload


def test_what_is_slow_at_first_does_not_count(clock: Clock, profile: Profile) -> None:
    rounds, benchmark, _ = timed(clock, profile, series(5.0, 0.5, 0.3, 0.2, 0.15))
    assert set(rounds.seconds) == {0.1}
    assert rounds.around.steady
    assert rounds.around.warm_up_rounds == 10, "three of 0.1 s after three that were slower by 2 % at the most"
    assert benchmark.stats.stats.data == list(rounds.seconds), "pytest-benchmark keeps the rounds that count"


def test_warming_up_ends_with_its_time_and_says_that_it_was_not_steady(clock: Clock, profile: Profile) -> None:
    speeding_up = (4 * 0.95**step for step in range(10_000))
    rounds, _, _ = timed(clock, profile, speeding_up)
    assert not rounds.around.steady
    assert rounds.around.warm_up_rounds == 4


def test_rounds_end_once_the_median_is_known_but_not_before_a_quarter_of_the_time(
    clock: Clock, profile: Profile
) -> None:
    rounds, _, _ = timed(clock, profile, series(then=0.1))
    assert 2.0 < rounds.total_s < 2.2
    assert known_within(rounds.seconds) == 0


def test_noisy_rounds_go_on_until_the_time_is_over(clock: Clock, profile: Profile) -> None:
    rounds, _, _ = timed(clock, profile, series(*(0.1,) * 6, then=(0.08, 0.12)))
    assert 8.0 < rounds.total_s < 8.3
    assert known_within(rounds.seconds) > 0.01


def test_there_are_six_rounds_however_long_they_take(clock: Clock, profile: Profile) -> None:
    rounds, _, _ = timed(clock, profile, series(then=60.0))
    assert len(rounds.seconds) == 6


def test_what_is_told_of_the_rounds_lands_in_the_benchmarks_file(clock: Clock, profile: Profile) -> None:
    benchmark, recorder = fixture(), Recorder()
    recorder.key = "DECODE-SPEED[x]"
    round_timer.timed(benchmark, Played(clock, series()), profile, recorder)
    info = benchmark.extra_info
    assert (info["requirement"], info["amount"], info["compiled"], info["within"]) == ("DECODE-SPEED[x]", 1.0, 0, 0.0)
    assert 0 <= info["others"] <= 1
    assert info["peak_bytes"] > 2**20


def test_a_benchmark_that_is_switched_off_timed_nothing(profile: Profile) -> None:
    off = SimpleNamespace(stats=None, extra_info={}, pedantic=lambda target, args: None)
    with pytest.raises(Inconclusive, match="timed nothing") as raised:
        round_timer.timed(off, Played(Clock(), series()), profile, Recorder())
    assert "--benchmark-disable" in raised.value.remedy[0]


def test_work_that_ends_by_itself_too_early_is_inconclusive(clock: Clock, profile: Profile) -> None:
    class Short(Played):
        def rounds(self, each: round_timer.Each) -> None:
            each(1.0)

    with pytest.raises(Inconclusive, match="ended before a round of it was timed"):
        round_timer.timed(fixture(), Short(clock, series()), profile, Recorder())


def test_compiling_while_rounds_are_timed_is_counted(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, profile: Profile
) -> None:
    counters = {"stats": {"unique_graphs": 3}}
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", SimpleNamespace(counters=counters))

    def compiling() -> Iterator[float]:
        yield from (0.1,) * 8
        counters["stats"]["unique_graphs"] += 1
        yield from series()

    rounds, _, _ = timed(clock, profile, compiling())
    assert rounds.around.compiled == 1


def test_a_gpu_is_sampled_from_the_first_round_that_counts_to_the_last(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, profile: Profile
) -> None:
    seen: list[str] = []

    class Sampling:
        def __enter__(self) -> Callable[[], Any]:
            seen.append("begins")
            values = {"power_w": 300.0, "clock": 1500.0}
            return lambda: SimpleNamespace(
                has=lambda name: True, median=values.__getitem__, hot=0.25, trace=lambda gpu: Trace(gpu=gpu, points=())
            )

        def __exit__(self, *_: object) -> None:
            seen.append("ends")

    def playing() -> Iterator[float]:
        for _ in range(6):
            seen.append("warms")
            yield 0.1
        while True:
            seen.append("counts")
            yield 1.0

    monkeypatch.setattr(round_timer, "sampling", lambda index: Sampling())
    monkeypatch.setattr(round_timer.peak_memory, "reset", lambda device: None)
    monkeypatch.setattr(round_timer.peak_memory, "read", lambda device: 5)
    monkeypatch.setattr(Device, "disturbance", lambda self: f"GPU {self.index} was shared")
    workload = Played(clock, playing())
    workload.work = Work(Device("cuda", 2, "GPU"), 1.0, WORK.roofline)
    recorder = Recorder()
    rounds = round_timer.timed(fixture(), workload, profile, recorder)
    assert recorder.traces == [Trace(gpu=2, points=())], "what was seen is kept for a plot"
    assert seen == [*["warms"] * 6, "begins", *["counts"] * 6, "ends"]
    assert rounds.disturbance == "GPU 2 was shared"
    assert (rounds.around.power_w, rounds.around.clock_mhz, rounds.around.hot) == (300.0, 1500.0, 0.25)


def test_repeat_times_the_work_and_not_what_comes_before_it() -> None:
    seconds: list[float] = []
    round_timer.repeat(
        lambda: time.sleep(0.01), lambda each: seconds.append(each) or len(seconds) < 2, lambda: time.sleep(0.1)
    )
    assert all(0.01 <= each < 0.1 for each in seconds)
    assert len(seconds) == 2


def test_threads_are_as_many_as_processors_and_afterwards_what_they_were() -> None:
    torch = pytest.importorskip("torch", reason="threads are torch's: make setup")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with round_timer._as_many_threads_as_processors(CPU):
        assert torch.get_num_threads() == len(round_timer.os.sched_getaffinity(0))
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


STAT = "cpu  100 10 50 1000 20 5 5 10 0 0\ncpu0 50 5 25 500 10 2 2 5 0 0\ncpu1 50 5 25 500 10 3 3 5 0 0\nintr 1\n"


def test_processor_time_is_what_is_neither_idle_nor_waiting() -> None:
    assert processors.parse(STAT, 100) == (1.8, 2)


@pytest.mark.parametrize("text", ["", "cpu  1 2\n", "intr 5\n"])
def test_another_stat_is_inconclusive(text: str) -> None:
    with pytest.raises(Inconclusive, match="does not begin with the processors' times"):
        processors.parse(text, 100)


def test_others_are_who_used_processors_and_were_not_us() -> None:
    before = processors.Processors(at_s=10, busy_s=100, mine_s=5, count=2)
    assert processors.Processors(20, 110, 10, 2).others_since(before) == pytest.approx(5 / 20)
    assert processors.Processors(20, 104, 10, 2).others_since(before) == 0, "ticks are coarse"
    assert processors.Processors(10, 100, 5, 2).others_since(before) == 0
