"""Rounds count once they are steady, end once their median is known, and are monitored meanwhile."""

import contextlib
import sys
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
GPU_WORK = Work(Device("cuda", 2, "GPU"), 1.0, WORK.roofline)


class Clock:
    """A clock that only simulated rounds move, so that no test waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(round_timer.time, "monotonic", clock)
    return clock


class Simulated:
    """A workload whose rounds take the given seconds."""

    work = WORK

    def __init__(self, clock: Clock, seconds: Iterator[float]) -> None:
        self._clock, self._seconds = clock, seconds
        self.count = 0

    def run_rounds(self, add_round: round_timer.AddRound) -> None:
        wanted = True
        while wanted:
            seconds = next(self._seconds)
            self._clock.now += seconds
            self.count += 1
            wanted = add_round(seconds)


def fixture() -> Any:
    """pytest-benchmark's fixture, as far as the timer uses it."""
    benchmark = SimpleNamespace(stats=None, extra_info={})

    def pedantic(target: Callable[..., None], args: tuple[Any, ...]) -> None:
        benchmark.stats = SimpleNamespace(stats=SimpleNamespace(data=[]))
        target(*args)

    benchmark.pedantic = pedantic
    return benchmark


@pytest.fixture
def profile() -> Profile:
    shipped = profiles.load("cpu")
    sizes = Timing(warm_up_s=10, seconds=8, within=0.01, least_rounds=6)
    return shipped.model_copy(update={"workloads": shipped.workloads.model_copy(update={"timing": sizes})})


def series(*first: float, then: float | tuple[float, ...] = 0.1) -> Iterator[float]:
    yield from first
    while True:
        yield from then if isinstance(then, tuple) else (then,)


def time_rounds(clock: Clock, profile: Profile, seconds: Iterator[float]) -> tuple[Any, Any, Simulated]:
    benchmark, workload = fixture(), Simulated(clock, seconds)
    return round_timer.time_rounds(benchmark, workload, profile, Recorder()), benchmark, workload


def test_slow_rounds_at_first_do_not_count(clock: Clock, profile: Profile) -> None:
    rounds, benchmark, _ = time_rounds(clock, profile, series(5.0, 0.5, 0.3, 0.2, 0.15))
    assert set(rounds.seconds) == {0.1}
    assert rounds.around.steady
    assert rounds.around.warm_up_rounds == 10, "three of 0.1 s after three that were slower by 2 % at the most"
    assert benchmark.stats.stats.data == list(rounds.seconds), "pytest-benchmark keeps the rounds that count"


def test_a_warm_up_ends_with_its_time_and_reports_that_it_was_not_steady(clock: Clock, profile: Profile) -> None:
    speeding_up = (4 * 0.95**step for step in range(10_000))
    rounds, _, _ = time_rounds(clock, profile, speeding_up)
    assert not rounds.around.steady
    assert rounds.around.warm_up_rounds == 4


def test_rounds_end_once_the_median_is_known_but_not_before_a_quarter_of_the_time(
    clock: Clock, profile: Profile
) -> None:
    rounds, _, _ = time_rounds(clock, profile, series(then=0.1))
    assert 2.0 < rounds.total_s < 2.2
    assert known_within(rounds.seconds) == 0


def test_noisy_rounds_continue_until_the_time_is_over(clock: Clock, profile: Profile) -> None:
    rounds, _, _ = time_rounds(clock, profile, series(*(0.1,) * 6, then=(0.08, 0.12)))
    assert 8.0 < rounds.total_s < 8.3
    assert known_within(rounds.seconds) > 0.01


def test_there_are_six_rounds_however_long_they_take(clock: Clock, profile: Profile) -> None:
    rounds, _, _ = time_rounds(clock, profile, series(then=60.0))
    assert len(rounds.seconds) == 6


def test_what_the_monitor_saw_is_in_the_benchmark_file(clock: Clock, profile: Profile) -> None:
    benchmark, recorder = fixture(), Recorder()
    recorder.key = "DECODE-SPEED[x]"
    round_timer.time_rounds(benchmark, Simulated(clock, series()), profile, recorder)
    info = benchmark.extra_info
    assert (info["requirement"], info["amount"], info["compiled"], info["within"]) == ("DECODE-SPEED[x]", 1.0, 0, 0.0)
    assert 0 <= info["others"] <= 1
    assert info["peak_bytes"] > 2**20


def test_a_benchmark_that_is_switched_off_times_nothing(profile: Profile) -> None:
    off = SimpleNamespace(stats=None, extra_info={}, pedantic=lambda target, args: None)
    with pytest.raises(Inconclusive, match="timed nothing") as raised:
        round_timer.time_rounds(off, Simulated(Clock(), series()), profile, Recorder())
    assert "--benchmark-disable" in raised.value.remedy[0]


def test_a_workload_that_ends_by_itself_too_early_is_inconclusive(clock: Clock, profile: Profile) -> None:
    class Short(Simulated):
        def run_rounds(self, add_round: round_timer.AddRound) -> None:
            add_round(1.0)

    with pytest.raises(Inconclusive, match="ended before a round of it was timed"):
        round_timer.time_rounds(fixture(), Short(clock, series()), profile, Recorder())


def test_compilations_while_rounds_are_timed_are_counted(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, profile: Profile
) -> None:
    counters = {"stats": {"unique_graphs": 3}}
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", SimpleNamespace(counters=counters))

    def compiling() -> Iterator[float]:
        yield from (0.1,) * 8
        counters["stats"]["unique_graphs"] += 1
        yield from series()

    rounds, _, _ = time_rounds(clock, profile, compiling())
    assert rounds.around.compiled == 1


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens in which order around the rounds of a simulated GPU."""
    events: list[str] = []

    @contextlib.contextmanager
    def sampling(index: int) -> Iterator[Callable[[], Any]]:
        events.append("sampler starts")
        values = {"power_w": 300.0, "clock": 1500.0}
        try:
            yield lambda: SimpleNamespace(
                has=lambda name: True,
                median=values.__getitem__,
                hot=0.25,
                braked=0.0,
                trace=lambda gpu: Trace(gpu=gpu, points=()),
            )
        finally:
            events.append("sampler stops")

    def other_processes(device: Device) -> str:
        events.append("others read")
        return f"GPU {device.index} was shared"

    monkeypatch.setattr(round_timer, "sampling", sampling)
    monkeypatch.setattr(round_timer.peak_memory, "reset", lambda device: None)
    monkeypatch.setattr(round_timer.peak_memory, "read", lambda device: 5)
    monkeypatch.setattr(Device, "other_processes", other_processes)
    monkeypatch.setattr(Device, "wait", lambda device: None)
    monkeypatch.setattr(round_timer.PATIENCE, "wait", lambda device, say: True)
    return events


def test_a_gpu_is_sampled_from_the_first_round_that_counts_to_the_last(
    events: list[str], clock: Clock, profile: Profile
) -> None:
    def rounds() -> Iterator[float]:
        for _ in range(6):
            events.append("warm-up round")
            yield 0.1
        while True:
            events.append("timed round")
            yield 1.0

    workload = Simulated(clock, rounds())
    workload.work = GPU_WORK
    recorder = Recorder()
    rounds = round_timer.time_rounds(fixture(), workload, profile, recorder)
    assert recorder.traces == [Trace(gpu=2, points=())], "the samples are kept for a plot"
    assert events == [*["warm-up round"] * 6, "sampler starts", *["timed round"] * 6, "sampler stops", "others read"]
    assert rounds.disturbance == "GPU 2 was shared"
    assert (rounds.around.power_w, rounds.around.clock_mhz, rounds.around.hot) == (300.0, 1500.0, 0.25)


@pytest.mark.parametrize("seen", [None, "GPU 2 was shared: process 4711 used 93% of it at times"])
def test_a_neighbour_that_is_gone_before_the_last_round_is_seen_in_the_samples(
    monkeypatch: pytest.MonkeyPatch, events: list[str], clock: Clock, profile: Profile, seen: str | None
) -> None:
    sampling = round_timer.sampling

    @contextlib.contextmanager
    def with_neighbours(index: int) -> Iterator[Callable[[], Any]]:
        with sampling(index) as samples:
            yield lambda: SimpleNamespace(**vars(samples()), neighbours=lambda gpu: seen)

    monkeypatch.setattr(round_timer, "sampling", with_neighbours)
    monkeypatch.setattr(Device, "other_processes", lambda device: None)
    workload = Simulated(clock, series())
    workload.work = GPU_WORK
    rounds = round_timer.time_rounds(fixture(), workload, profile, Recorder())
    assert (rounds.disturbance, rounds.unknown) == (seen, "")


def test_a_gpu_that_may_have_been_shared_is_told_from_one_that_was(
    monkeypatch: pytest.MonkeyPatch, events: list[str], clock: Clock, profile: Profile
) -> None:
    def unknown(device: Device) -> None:
        raise Inconclusive("cannot tell whether GPU 2 was shared")

    monkeypatch.setattr(Device, "other_processes", unknown)
    workload = Simulated(clock, series())
    workload.work = GPU_WORK
    rounds = round_timer.time_rounds(fixture(), workload, profile, Recorder())
    assert (rounds.disturbance, rounds.unknown) == (None, "cannot tell whether GPU 2 was shared")
    assert rounds.as_info["disturbance"] == "cannot tell whether GPU 2 was shared", "which spoils it for comparisons"


def test_a_neighbour_in_the_middle_of_the_rounds_is_in_their_busiest_stretch(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, profile: Profile
) -> None:
    monkeypatch.setattr(round_timer.PATIENCE, "wait", lambda device, say: True)
    burst = (101.0, 101.5)

    def read() -> processors.Processors:
        """Two CPUs, of which this process uses one, and another both of what is left for half a second."""
        others_s = max(0.0, min(clock.now, burst[1]) - burst[0])
        return processors.Processors(clock.now, clock.now + others_s, clock.now, 2)

    monkeypatch.setattr(processors, "read", read)
    rounds, benchmark, _ = time_rounds(clock, profile, series(then=0.05))
    assert rounds.around.others == pytest.approx(0.125, abs=0.04)
    assert rounds.around.busiest == pytest.approx(0.5, abs=0.05)
    assert benchmark.extra_info["busiest"] == rounds.around.busiest
    assert "50% at times" in rounds.around.neighbours


def test_the_monitor_stops_where_a_round_raises(events: list[str], clock: Clock, profile: Profile) -> None:
    def rounds() -> Iterator[float]:
        yield from (0.1,) * 8
        raise RuntimeError("CUDA error: out of memory")

    workload = Simulated(clock, rounds())
    workload.work = GPU_WORK
    with pytest.raises(RuntimeError, match="out of memory"):
        round_timer.time_rounds(fixture(), workload, profile, Recorder())
    assert events == ["sampler starts", "sampler stops", "others read"]


def test_a_round_that_raises_is_not_hidden_by_a_sampler_that_fails(
    monkeypatch: pytest.MonkeyPatch, events: list[str], clock: Clock, profile: Profile
) -> None:
    @contextlib.contextmanager
    def sampling(index: int) -> Iterator[None]:
        yield
        raise Inconclusive("the driver did not answer")

    def rounds() -> Iterator[float]:
        yield from (0.1,) * 8
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(round_timer, "sampling", sampling)
    workload = Simulated(clock, rounds())
    workload.work = GPU_WORK
    with pytest.raises(RuntimeError, match="out of memory"):
        round_timer.time_rounds(fixture(), workload, profile, Recorder())


def test_the_monitor_stops_where_the_workload_ends_by_itself(events: list[str], clock: Clock, profile: Profile) -> None:
    class Short(Simulated):
        def run_rounds(self, add_round: round_timer.AddRound) -> None:
            for _ in range(9):
                add_round(0.1)

    workload = Short(clock, series())
    workload.work = GPU_WORK
    assert len(round_timer.time_rounds(fixture(), workload, profile, Recorder()).seconds) == 3
    assert events == ["sampler starts", "sampler stops", "others read"]


def test_repeat_times_the_work_and_not_what_is_done_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now, seconds = [0.0], list[float]()

    def takes(round_s: float) -> None:
        now[0] += round_s

    monkeypatch.setattr(round_timer, "time", SimpleNamespace(perf_counter=lambda: now[0], monotonic=lambda: now[0]))
    round_timer.repeat(
        lambda: takes(0.25), lambda round_s: seconds.append(round_s) or len(seconds) < 2, lambda: takes(8.0)
    )
    assert seconds == [0.25, 0.25]


def test_there_is_one_thread_per_cpu_and_afterwards_as_many_as_before() -> None:
    torch = pytest.importorskip("torch", reason="threads are torch's: make setup")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with round_timer._one_thread_per_cpu(CPU):
        assert torch.get_num_threads() == len(round_timer.os.sched_getaffinity(0))
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
