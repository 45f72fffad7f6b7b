"""A load is judged only on a busy GPU without other processes; the remedy depends on the cause of a low clock."""

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.machine import driver_query
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import NOT_SUPPORTED, Answers
from dgxcert.machine.identity import MemoryKind
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.gpu.sampler import HERTZ
from dgxcert.probes.gpu.samples import (
    CLOCK_SETTING,
    MIN_SAMPLES,
    POWER_BRAKE,
    POWER_CAP,
    THERMAL_HARDWARE,
    THERMAL_SOFTWARE,
    Samples,
)
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.hardware import sustained
from dgxcert.workloads.hardware.clock_lock import Standing
from dgxcert.workloads.hardware.sustained import CAPPED, HOT, LOCKED, STUCK, STUCK_W, WRONG, Load

SPARK = profiles.load("dgx-spark")
GPU = Device("cuda", 0, "NVIDIA GB10", memory=MemoryKind.UNIFIED, margin_gib=16.0)
MOVES = (2411, 2380, 2411, 2450, 2411)
CONSTANT = (1005, 1005, 1020, 1005, 1005)
LOW = (510, 611, 690, 540, 858)


def samples(clocks: tuple[int, ...] = MOVES, *, counters: Any = None, **fields: Any) -> Samples:
    """Five samples in four seconds of a GPU that is busy and healthy, but for these fields."""
    fields = {"utilization": 96, "power_w": 88.0, "event_reasons": 0, "compute_processes": [7]} | fields
    reported = {name: value for name, value in fields.items() if value is not None}
    lines: list[dict[str, Any]] = [
        {"t": 0.0, "at": 0.0, "hertz": 1, "refused": {}, "counters": dict.fromkeys(counters or {}, 0.0)}
    ]
    lines += [{"t": float(at), "clock": clock, **reported} for at, clock in enumerate(clocks)]
    lines.append({"t": 4.0, "counters": counters or {}, "cpu_s": 0.1})
    return Samples.parse("\n".join(json.dumps(line) for line in lines))


def load(sampled: Samples | None = None, disturbed: str | None = None, differing: int = 0) -> Load:
    return Load(sampled or samples(), disturbed, Answers(0), differing)


def test_a_busy_gpu_of_our_own_is_judged() -> None:
    healthy = load()
    assert healthy.judged() is healthy
    assert load(samples(utilization=80)).judged()


def test_a_gpu_with_other_processes_is_not_judged() -> None:
    with pytest.raises(Inconclusive, match="GPU 0 was shared") as raised:
        load(disturbed="GPU 0 was shared: 2 compute processes").judged()
    assert raised.value.remedy == ("End other work on this GPU, then run this again.",)


@pytest.mark.parametrize("percent", [0, 79])
def test_a_gpu_that_was_idle_is_not_judged(percent: int) -> None:
    """A healthy clock of an idle GPU would else pass, and the low one of a GPU that waits for a slow CPU fail."""
    with pytest.raises(Inconclusive, match=f"busy {percent} % of the time under load, less than 80 %"):
        load(samples(utilization=percent)).judged()


def test_a_gpu_without_utilization_is_not_judged() -> None:
    with pytest.raises(Inconclusive, match="the driver reports no utilization of this GPU"):
        load(samples(utilization=None)).judged()


EVERYTHING = THERMAL_SOFTWARE | THERMAL_HARDWARE | CLOCK_SETTING | POWER_CAP | POWER_BRAKE

CAUSES: dict[str, tuple[Samples, tuple[str, ...]]] = {
    "hot by software": (samples(LOW, event_reasons=THERMAL_SOFTWARE), HOT),
    "hot by hardware": (samples(LOW, event_reasons=THERMAL_HARDWARE), HOT),
    "hot by its counters": (samples(LOW, counters={"thermal_software": 0.4}), HOT),
    "a clock that was set": (samples(LOW, event_reasons=CLOCK_SETTING), LOCKED),
    "capped": (samples(LOW, event_reasons=POWER_CAP), CAPPED),
    "capped by its counters": (samples(LOW, counters={"power_cap": 0.4}), CAPPED),
    "braked": (samples(LOW, event_reasons=POWER_BRAKE), CAPPED),
    "braked by its counters": (samples(LOW, counters={"power_brake": 0.4}), CAPPED),
    "locked": (samples(CONSTANT), LOCKED),
    "locked, its power unknown": (samples(CONSTANT, power_w=None), LOCKED),
    "locked, just above the power of a stuck one": (samples(CONSTANT, power_w=STUCK_W + 0.1), LOCKED),
    "stuck at one clock, at the power of a stuck one": (samples(CONSTANT, power_w=STUCK_W), STUCK),
    "stuck at one clock": (samples(CONSTANT, power_w=12.0), STUCK),
    "stuck": (samples(LOW, power_w=12.0), STUCK),
    "low for no reason": (samples(LOW), STUCK),
    "hot before set, capped and locked": (samples(CONSTANT, event_reasons=EVERYTHING), HOT),
    "set before capped and locked": (samples(CONSTANT, event_reasons=CLOCK_SETTING | POWER_CAP | POWER_BRAKE), LOCKED),
    "set before stuck": (samples(CONSTANT, event_reasons=CLOCK_SETTING, power_w=12.0), LOCKED),
    "capped before locked": (samples(CONSTANT, event_reasons=POWER_CAP), CAPPED),
    "capped before stuck": (samples(LOW, event_reasons=POWER_CAP, power_w=12.0), CAPPED),
}


@pytest.mark.parametrize(("sampled", "remedy"), CAUSES.values(), ids=CAUSES)
def test_the_remedy_of_a_low_clock_depends_on_its_cause(sampled: Samples, remedy: tuple[str, ...]) -> None:
    assert load(sampled).remedy == remedy


def test_products_that_differ_come_before_a_low_clock() -> None:
    assert load(samples(LOW, event_reasons=EVERYTHING), differing=1).remedy == WRONG


LOCK = Standing(2086.0, locked_below_mhz=2390.0, free_from_mhz=2450.0)


def test_a_lock_that_stands_high_has_the_remedy_of_a_lock() -> None:
    assert Load(samples(MOVES), None, Answers(0), standing=LOCK).remedy == LOCKED
    assert Load(samples(MOVES, event_reasons=THERMAL_SOFTWARE), None, Answers(0), standing=LOCK).remedy == LOCKED
    assert Load(samples(CONSTANT, power_w=12.0), None, Answers(0), standing=LOCK).remedy == STUCK
    assert Load(samples(MOVES), None, Answers(0), differing=1, standing=LOCK).remedy == WRONG


def test_why_a_lock_cannot_be_told_is_said_when_the_clock_is_judged() -> None:
    untold = Load(samples(), None, Answers(0), standing=Inconclusive("no highest clock", "Run: nvidia-smi -q"))
    assert untold.clock_source.startswith("NVML, 5 samples")
    with pytest.raises(Inconclusive, match="no highest clock") as raised:
        assert untold.clock_is_free
    assert raised.value.remedy == ("Run: nvidia-smi -q",)
    assert load().clock_is_free


def test_each_cause_has_its_own_remedy() -> None:
    assert len({HOT, LOCKED, CAPPED, STUCK}) == 4
    assert all(all(steps) and steps for steps in (HOT, LOCKED, CAPPED, STUCK))
    assert "-rgc" in LOCKED[0]
    assert any("unplug" in step for step in STUCK)


@pytest.fixture(autouse=True)
def nothing_was_measured_before() -> Iterator[None]:
    sustained._measure.cache_clear()
    yield
    sustained._measure.cache_clear()


Loads = Callable[..., list[Device]]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Sets the outcome of every load; returns the devices that were loaded."""

    def set_outcome(outcome: Load | Exception) -> list[Device]:
        loaded: list[Device] = []

        def run(device: Device, *_: object) -> Load:
            loaded.append(device)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(sustained, "_load", run)
        return loaded

    return set_outcome


def test_all_requirements_of_a_gpu_share_one_load(loads: Loads) -> None:
    healthy = load()
    loaded = loads(healthy)
    assert sustained.measured(GPU, SPARK) is sustained.measured(GPU, SPARK) is sustained.sampled(GPU, SPARK) is healthy
    other = Device("cuda", 1, "NVIDIA GB10")
    sustained.measured(other, SPARK)
    assert loaded == [GPU, other]


def test_a_load_that_failed_is_not_waited_for_again(loads: Loads) -> None:
    loaded = loads(Inconclusive("the NVIDIA driver did not answer within 10 s", "sudo reboot"))
    for ask in (sustained.measured, sustained.measured, sustained.sampled):
        with pytest.raises(Inconclusive, match="did not answer within 10 s") as raised:
            ask(GPU, SPARK)
        assert raised.value.remedy == ("sudo reboot",)
    assert loaded == [GPU]


def test_an_unexpected_error_is_not_kept(loads: Loads) -> None:
    """A CUDA error ends its process; whatever else happened may not happen again."""
    loaded = loads(RuntimeError("out of memory"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            sustained.measured(GPU, SPARK)
    assert loaded == [GPU, GPU]


def test_a_kept_failure_holds_no_gpu_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback would hold its frames, and with them the matrices, until the process ends."""
    held: list[weakref.ref[Any]] = []

    class Work:
        pass

    def run(*_: object) -> Load:
        work = Work()
        held.append(weakref.ref(work))
        raise Inconclusive("the NVIDIA driver did not answer")

    monkeypatch.setattr(sustained, "_load", run)
    for _ in range(2):
        with pytest.raises(Inconclusive):
            sustained.measured(GPU, SPARK)
    gc.collect()
    assert [work() for work in held] == [None]


def test_a_disturbed_load_is_sampled_and_not_judged(loads: Loads) -> None:
    disturbed = load(disturbed="GPU 0 was shared")
    loads(disturbed)
    assert sustained.sampled(GPU, SPARK) is disturbed
    with pytest.raises(Inconclusive, match="GPU 0 was shared"):
        sustained.measured(GPU, SPARK)


def test_without_a_peak_there_is_no_load(loads: Loads) -> None:
    loaded = loads(load())
    with pytest.raises(Inconclusive, match=r"no physical peak 'matmul\.bf16'"):
        sustained.measured(GPU, SPARK.model_copy(update={"physical": {}}))
    assert not loaded


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of a load, in order; nothing is multiplied or sampled, and no driver is called."""
    done: list[str] = []

    @contextmanager
    def sampling(index: int, hertz: float) -> Iterator[Callable[[], Samples]]:
        done.append(f"sampling GPU {index} at {hertz:g} Hz")
        yield lambda: samples()
        done.append("sampled")

    def other_processes(device: Device) -> None:
        done.append(f"other processes on GPU {device.index}")

    def ask(index: int, *fields: str) -> Answers:
        done.append(f"maxima of GPU {index}")
        maxima = {"highest_clock": 3003, "link_width_max": 16, "link_generation_max": 5}
        return Answers(index, {name: maxima[name] for name in fields if name in maxima})

    monkeypatch.setattr(sustained, "Matmul", lambda *args: SimpleNamespace(args=args, differing=3))
    monkeypatch.setattr(sustained, "sampling", sampling)
    monkeypatch.setattr(sustained, "keep_busy", lambda work, seconds: done.append(f"busy for {seconds:g} s"))
    monkeypatch.setattr(Device, "other_processes", other_processes)
    monkeypatch.setattr(nvml, "ask", ask)
    return done


def test_a_gpu_is_warmed_up_then_sampled_then_checked_for_other_processes(steps: list[str]) -> None:
    measured = sustained.measured(Device("cuda", 3, "NVIDIA H200"), SPARK)
    assert steps == [
        "busy for 1 s",
        f"sampling GPU 3 at {HERTZ:g} Hz",
        "busy for 10 s",
        "sampled",
        "other processes on GPU 3",
        "maxima of GPU 3",
    ]
    assert measured.differing == 3
    assert measured.highest("clock") == Bound(value=3003, unit="MHz", source="NVML: the most that card and slot can do")
    width, generation = measured.highest("link_width"), measured.highest("link_generation")
    assert (width and width.value, generation and generation.value) == (16, 5)


def test_a_neighbour_that_is_gone_at_the_end_is_seen_in_the_samples(
    monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    @contextmanager
    def sampling(index: int, hertz: float) -> Iterator[Callable[[], Samples]]:
        yield lambda: samples(compute_processes=[7, 4711])

    monkeypatch.setattr(sustained, "sampling", sampling)
    with pytest.raises(Inconclusive, match=r"GPU 5 was shared: 2 compute processes"):
        sustained.measured(Device("cuda", 5, "NVIDIA H200"), SPARK)


@pytest.mark.parametrize("where", ["of the process", "of the samples"])
def test_a_gpu_that_wants_a_reset_is_told_so_and_not_to_end_other_work(
    monkeypatch: pytest.MonkeyPatch, steps: list[str], where: str
) -> None:
    """NVIDIA forum 364499: the driver lists the GPU, and answers `GPU requires reset` for what moves."""
    reset = {"code": 16, "says": "GPU requires reset"}

    def refused(device: Device) -> None:
        raise driver_query.refusal("cannot tell: ", reset, device.index)

    @contextmanager
    def sampling(index: int, hertz: float) -> Iterator[Callable[[], Samples]]:
        yield lambda: replace(samples(compute_processes=None), refused={"compute_processes": reset})

    if where == "of the process":
        monkeypatch.setattr(Device, "other_processes", refused)
    else:
        monkeypatch.setattr(sustained, "sampling", sampling)
    load = sustained.sampled(Device("cuda", 6, "NVIDIA H200"), SPARK)
    assert load.highest("link_width"), "what others do does not change a link"
    with pytest.raises(Inconclusive, match="GPU requires reset") as raised:
        load.judged()
    assert "--gpu-reset" in " ".join(raised.value.remedy)


def test_a_rehearsal_is_as_short_as_in_its_profile(steps: list[str]) -> None:
    short = SPARK.workloads.sustained.model_copy(update={"seconds": 2.0})
    sustained.measured(
        GPU, SPARK.model_copy(update={"workloads": SPARK.workloads.model_copy(update={"sustained": short})})
    )
    assert steps[:3] == ["busy for 0 s", f"sampling GPU 0 at {HERTZ:g} Hz", "busy for 2 s"]


STANDS = (2086, 2080, 2086, 2086, 2080)


@pytest.mark.parametrize(("lighter", "locked"), [(STANDS, True), (MOVES, False)])
def test_a_clock_that_stands_still_is_looked_at_again_under_lighter_work(
    monkeypatch: pytest.MonkeyPatch, steps: list[str], lighter: tuple[int, ...], locked: bool
) -> None:
    """Power can hold a clock still under dense products; it rises once the work is lighter, and a lock does not."""
    sampled = iter([samples(STANDS), samples(lighter)])

    @contextmanager
    def sampling(index: int, hertz: float) -> Iterator[Callable[[], Samples]]:
        each = next(sampled)
        yield lambda: each

    monkeypatch.setattr(sustained, "sampling", sampling)
    monkeypatch.setattr(sustained, "keep_lightly_busy", lambda device, size, seconds: steps.append(f"light {seconds}"))
    measured = sustained.measured(GPU, SPARK)
    assert "light 2.0" in steps
    assert measured.clock_is_free is not locked


def test_a_lighter_load_that_fails_leaves_the_other_figures(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> None:
    sampled = iter([samples(STANDS)])

    @contextmanager
    def sampling(index: int, hertz: float) -> Iterator[Callable[[], Samples]]:
        each = next(sampled, None)
        if each is None:
            raise Inconclusive("the NVIDIA driver did not answer", "sudo reboot")
        yield lambda: each

    monkeypatch.setattr(sustained, "sampling", sampling)
    measured = sustained.measured(GPU, SPARK)
    assert measured.samples.median("clock") == 2086
    with pytest.raises(Inconclusive, match="did not answer"):
        assert measured.clock_is_free


def test_lighter_work_ends_in_time() -> None:
    waits: list[None] = []
    device: Any = SimpleNamespace(name="cpu", wait=lambda: waits.append(None))
    sustained.keep_lightly_busy(device, 16, 0.01)
    assert waits


def test_a_very_short_load_is_sampled_more_often(steps: list[str]) -> None:
    short = SPARK.workloads.sustained.model_copy(update={"seconds": 0.1})
    sustained.measured(
        GPU, SPARK.model_copy(update={"workloads": SPARK.workloads.model_copy(update={"sustained": short})})
    )
    hertz = float(steps[1].split()[-2])
    assert hertz * 0.1 >= 2 * MIN_SAMPLES, "half of them may come late"


def with_maxima(maxima: dict[str, Any], code: int = NOT_SUPPORTED) -> Load:
    fields = ("highest_clock", "link_width_max", "link_generation_max")
    refused = {name: {"code": code, "says": "No"} for name in fields if name not in maxima}
    return Load(samples(), None, Answers(0, maxima, refused))


@pytest.mark.parametrize("maxima", [{}, {"link_width_max": 0, "highest_clock": 0}], ids=["none", "zero"])
def test_a_value_that_the_driver_does_not_report_is_no_bound(maxima: dict[str, int]) -> None:
    """A bound of zero would be divided by."""
    assert [with_maxima(maxima).highest(name) for name in ("clock", "link_width")] == [None, None]


def test_an_error_of_the_driver_is_inconclusive() -> None:
    """A requirement of another figure is still judged."""
    sampled = with_maxima({"highest_clock": 3003}, code=999)
    assert sampled.highest("clock")
    with pytest.raises(Inconclusive, match="does not report link width max of GPU 0: No"):
        sampled.highest("link_width")


def test_a_gpu_is_kept_busy_for_one_round_at_least() -> None:
    rounds: list[None] = []
    compared: list[None] = []
    work: Any = SimpleNamespace(run=lambda: rounds.append(None), compare_with_first=lambda: compared.append(None))
    assert sustained.keep_busy(work, 0.0) == len(rounds) == 1
    assert sustained.keep_busy(work, 0.01) > 1
    assert len(compared) == len(rounds)
