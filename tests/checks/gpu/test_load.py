"""The checks under load pass on a healthy GPU, and each of their comparisons fails alone."""

from dataclasses import replace
from typing import Any

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.computation import Computation
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import health
from dgxcert.probes.gpu.health import PowerLimit
from dgxcert.probes.gpu.samples import Samples
from dgxcert.probes.host.hardware.sensors import Fan, Sensors
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import sustained
from dgxcert.workloads.hardware.clock_lock import Standing
from dgxcert.workloads.hardware.sustained import Load

CHECKS = check_file.load("gpu/test_load")
SPARK, H200 = profiles.load("dgx-spark"), profiles.load("h200")
GPU = Device("cuda", 0, "NVIDIA H200")

HEALTHY = {
    "clock": 1740,
    "utilization": 100,
    "temperature": 52,
    "power_w": 627,
    "event_reasons": 0x4,
    "link_width": 16,
    "link_generation": 5,
}
TESTS = {
    "clock": CHECKS.test_the_gpu_reaches_its_working_clock_under_load,
    "steady": CHECKS.test_the_clock_does_not_fall_while_the_gpu_works,
    "thermal": CHECKS.test_the_gpu_stays_cool_under_load,
    "power": CHECKS.test_nothing_holds_the_gpus_power_back,
    "link": CHECKS.test_the_link_is_as_wide_and_fast_as_it_should_be,
}


def load(differing: int = 0, standing: Standing | None = None, **changed: Any) -> Load:
    """Ten seconds of an H200 under load. A changed field holds all the time; of a pair the second from second 6 on."""

    def value(reading: Any, second: int) -> Any:
        return reading[second > 5] if isinstance(reading, tuple) else reading

    fields = {**HEALTHY, **changed}
    readings = [{"t": float(t), **{name: value(each, t) for name, each in fields.items()}} for t in range(11)]
    possible = Answers(0, {"highest_clock": 1980, "link_width_max": 16, "link_generation_max": 5})
    samples = Samples(tuple(readings), {}, {}, elapsed_s=10.0, cpu_s=0.1)
    return Load(samples, None, possible, differing, standing=standing)


@pytest.mark.catches("GPU-CLOCK-UNDER-LOAD", "the last bit of one value of the last product of one round of the load")
@pytest.mark.parametrize(
    ("test", "profile", "changed", "fault"),
    [
        *((test, H200, {}, None) for test in TESTS),
        ("clock", H200, {"clock": 1099}, "SM clock under load"),
        ("clock", H200, {"standing": Standing(1740.0, 1940.0, 1940.0)}, "no lock holds the clock"),
        ("clock", H200, {"differing": 1}, "values that differ from the first product"),
        ("steady", H200, {"clock": (1740, 1400)}, "clock at the end of the load"),
        ("thermal", H200, {"temperature": 87}, "highest temperature"),
        ("thermal", H200, {"event_reasons": 0x40}, "slowed down for heat"),
        ("power", H200, {"event_reasons": 0x80}, "power brake"),
        ("power", SPARK, {"event_reasons": 0x4}, "power capped"),
        ("power", SPARK, {"event_reasons": 0x0}, None),
        ("link", H200, {"link_width": 8}, "PCIe lanes"),
        ("link", H200, {"link_generation": 4}, "PCIe generation"),
    ],
)
def test_each_fault_under_load_fails_alone(
    monkeypatch: pytest.MonkeyPatch, test: str, profile: Profile, changed: dict[str, Any], fault: str | None
) -> None:
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: load(**changed))
    judge(TESTS[test], GPU, profile, fault=fault)


def test_a_gpu_that_was_hardly_busy_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: load(utilization=33))
    with pytest.raises(Inconclusive, match="busy 33 %"):
        CHECKS.test_the_gpu_stays_cool_under_load(GPU, H200, Recorder())


@pytest.mark.parametrize(("share", "fault"), [(1.0, None), (0.5, "power limit")])
def test_a_lowered_power_limit_fails(monkeypatch: pytest.MonkeyPatch, share: float, fault: str | None) -> None:
    monkeypatch.setattr(health, "power_limit", lambda index: PowerLimit(share, "NVML"))
    judge(CHECKS.test_the_power_limit_is_the_one_that_the_gpu_ships_with, GPU, H200, fault=fault)


def test_what_slowed_the_gpu_before_the_load_is_recorded_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """ollama/ollama#13552: a machine that was hot once, as its counters show, and is cool now."""
    past = {"power_cap": 10800.25, "power_brake": 0.5, "thermal_software": 0.9, "thermal_hardware": 0.0}
    measured = load()
    told = replace(measured, samples=replace(measured.samples, before=past, after=past))
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: told)
    for test, name, seconds in (("thermal", "slowed down for heat", 0.9), ("power", "power held back", 10800.75)):
        evidence = judge(TESTS[test], GPU, H200, fault=None)
        (kept,) = [kept for kept in evidence.kept if kept.name == f"{name} before the load"]
        assert (kept.value, kept.unit) == (seconds, "s")


TURNS, STANDS = (Sensors(fans=(Fan("acpi_fan (hwmon4) fan1", rpm, is_firmwares=True),)) for rpm in (2100, 0))
HEADER, EMPTY = (Sensors(fans=(Fan("nct6798 (hwmon2) fan1", rpm),)) for rpm in (900, 0))


@pytest.mark.parametrize(
    ("profile", "temperature", "before", "after", "fault"),
    [
        (SPARK, 84, STANDS, STANDS, "fans that stand while it is hot"),
        (SPARK, 84, STANDS, TURNS, None),
        (SPARK, 75, STANDS, STANDS, None),
        (SPARK, 84, Sensors(), Sensors(), None),
        (SPARK, 84, EMPTY, EMPTY, None),
        (H200, 84, HEADER, EMPTY, "fans that stopped while it is hot"),
        (H200, 52, HEADER, EMPTY, None),
        (H200, 84, EMPTY, EMPTY, None),
        (H200, 84, STANDS, STANDS, None),
    ],
)
def test_a_fan_that_does_not_turn_while_the_gpu_is_hot_fails(
    monkeypatch: pytest.MonkeyPatch,
    profile: Profile,
    temperature: int,
    before: Sensors,
    after: Sensors,
    fault: str | None,
) -> None:
    measured = replace(load(temperature=temperature), board_before=before, board=after)
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: measured)
    judge(CHECKS.test_the_fans_turn_while_the_gpu_is_hot, GPU, profile, Computation(), fault=fault)


def test_a_fan_that_stopped_before_this_load_is_known_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = replace(load(temperature=84), board_before=EMPTY, board=EMPTY)
    monkeypatch.setattr(sustained, "sampled", lambda gpu, profile: measured)
    started = Computation(before={("BOARD-TEMPERATURE", "fans that turn"): HEADER.turning})
    judge(CHECKS.test_the_fans_turn_while_the_gpu_is_hot, GPU, H200, started, fault="fans that stopped while it is hot")
