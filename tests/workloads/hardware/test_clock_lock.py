"""A clock that stands still too low is a lock, at any height, unless a reason explains it or lighter work lifts it."""

import json
from pathlib import Path
from typing import Any

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import Samples
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware.clock_lock import Rule, Standing, confirmed, suspected

SPARK, H200, ANY = (profiles.load(name) for name in ("dgx-spark", "h200", "generic-nvidia"))
MEASURED = sorted((Path(__file__).parents[3] / "docs/measurements").rglob("run.json"))
HIGHEST = {"dgx-spark": 3003.0, "h200": 1980.0, "generic-nvidia": 1980.0}


def rule(profile: Profile) -> Rule:
    return Rule(*(profile.limit(f"clock.{name}") for name in ("still", "free", "boost")))


def samples(*clocks: float, reasons: tuple[int, ...] = (0,), counters: dict[str, float] | None = None) -> Samples:
    """One reading a second; the reasons repeat."""
    readings: list[dict[str, Any]] = [
        {"t": float(at), "clock": clock, "event_reasons": reasons[at % len(reasons)]} for at, clock in enumerate(clocks)
    ]
    before = dict.fromkeys(counters or {}, 0.0)
    return Samples(tuple(readings), before, counters or {}, elapsed_s=float(len(clocks)), cpu_s=0.1)


def stands(profile: Profile, sampled: Samples, boost_mhz: float | None = None) -> Standing | None:
    highest = Bound(value=HIGHEST[profile.name], unit="MHz", source="NVML")
    return suspected(sampled, rule(profile), highest, boost_mhz)


@pytest.mark.parametrize("mhz", [300, 864, 1200, 1900, 2086, 2190, 2300, 2388])
def test_a_lock_is_found_at_any_height(mhz: int) -> None:
    found = stands(SPARK, samples(*[mhz, mhz - 7] * 5))
    assert found
    assert not found.is_free
    assert f"stands at {mhz} MHz" in found.source


@pytest.mark.parametrize("mhz", [2390, 2418, 2449])
def test_just_below_the_highest_clocks_of_healthy_units_nothing_tells(mhz: int) -> None:
    found = stands(SPARK, samples(*[mhz, mhz - 7] * 5))
    assert found
    with pytest.raises(Inconclusive, match=f"stands at {mhz} MHz") as raised:
        assert found.is_free
    assert "nvidia-smi -rgc" in raised.value.remedy[0]


@pytest.mark.parametrize(
    "clocks",
    [(2483, 2476), (2450, 2450), (2281, 2385, 2405, 2424), (2405, 2389), (2197, 2262, 2457)],
    ids=["its highest", "high enough", "held back by power", "moves by more than 15 MHz", "warm"],
)
def test_a_healthy_spark_is_not_suspected(clocks: tuple[int, ...]) -> None:
    assert stands(SPARK, samples(*clocks * 5)) is None


def test_a_reason_for_most_of_the_load_explains_a_low_clock_and_a_rare_one_does_not() -> None:
    assert stands(SPARK, samples(*[2086] * 10, reasons=(0x20, 0))) is None
    assert stands(SPARK, samples(*[2086] * 10, reasons=(0x4, 0, 0)))
    assert stands(SPARK, samples(*[2086] * 10, counters={"power_cap": 8.0})) is None
    assert stands(SPARK, samples(*[2086] * 10, reasons=(0x2,))), "a setting is what a lock is"
    assert stands(SPARK, samples(*[2086] * 10, reasons=(0x10,))) is None, "another GPU of its group sets the clock"


def test_without_event_reasons_nothing_tells_a_lock_from_a_cap() -> None:
    silent = Samples(tuple({"t": float(at), "clock": 2086} for at in range(9)), {}, {}, elapsed_s=9.0, cpu_s=0.1)
    assert stands(SPARK, silent) is None


def test_lighter_work_lifts_a_clock_that_no_lock_holds() -> None:
    found = stands(SPARK, samples(*[2300] * 10))
    assert found
    assert confirmed(found, samples(2300, 2483, 2483), rule(SPARK)) is None
    held = confirmed(found, samples(2300, 2307, 2315), rule(SPARK))
    assert held == Standing(2300, 2390, 2450, lighter_mhz=2315)
    assert "under lighter work (2315 MHz)" in held.source
    assert confirmed(found, samples(2316), rule(SPARK)) is None


def test_a_datacenter_gpu_reaches_the_highest_clock_for_customers() -> None:
    assert stands(ANY, samples(*[1590] * 10), boost_mhz=1980)
    assert stands(ANY, samples(*[1965] * 10), boost_mhz=1980) is None
    assert stands(ANY, samples(*[1590] * 10)) is None, "a desktop's card, at 80 % of the highest clock of its table"
    assert stands(ANY, samples(*[1300] * 10)), "two thirds"


def test_a_share_of_a_highest_clock_that_is_not_known_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="does not report the highest clock"):
        suspected(samples(*[1300] * 10), rule(ANY), None, None)


def test_no_load_that_was_measured_on_healthy_cards_is_suspected() -> None:
    """Loads at 1980 MHz stand still at the highest clock; at the power limit the driver gives the reason."""
    traces = [
        trace
        for path in MEASURED
        for result in json.loads(path.read_text(encoding="utf-8"))["results"]
        for trace in result.get("traces", [])
    ]
    assert len(traces) > 30
    for trace in traces:
        points = [point for point in trace["points"] if point["clock_mhz"] is not None]
        readings = tuple(
            {"t": each["t"], "clock": each["clock_mhz"], "event_reasons": 0x4 if each["held_back"] else 0}
            for each in points
        )
        assert stands(H200, Samples(readings, {}, {}, elapsed_s=10.0, cpu_s=0.1), boost_mhz=1980) is None
