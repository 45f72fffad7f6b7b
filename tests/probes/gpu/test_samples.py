"""Samples of a GPU under load: fields that the driver refuses, and samples with gaps, are inconclusive."""

import json
from typing import Any

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import CLOCK_SETTING, MIN_SAMPLES, POWER_BRAKE, POWER_CAP, SLOWDOWN, Samples

REFUSED = {"fan": {"code": 3, "says": "Not Supported"}}
THERMAL_SOFTWARE, THERMAL_HARDWARE = 0x20, 0x40  # nvml.h
IDLE = 0x1


def written(*readings: dict[str, Any], before: Any = None, after: Any = None, cpu_s: float = 0.05) -> str:
    """The sampler's file: counters, a sample every 0.1 s, counters."""
    lines: list[dict[str, Any]] = [{"t": 100.0, "at": 0.0, "hertz": 10, "refused": REFUSED, "counters": before or {}}]
    lines += [{"t": 100.0 + at / 10, **reading} for at, reading in enumerate(readings)]
    lines.append({"t": 100.0 + max(0, len(readings) - 1) / 10, "counters": after or {}, "cpu_s": cpu_s})
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def samples(name: str, *values: float) -> Samples:
    """Samples of one field."""
    return Samples.parse(written(*({name: value} for value in values)))


def counted(before: Any, after: Any) -> Samples:
    """Eleven samples in one second, between these readings of the counters."""
    return Samples.parse(written(*[{"event_reasons": IDLE}] * 11, before=before, after=after))


def test_the_file_of_the_sampler_is_parsed() -> None:
    text = written(*[{"clock": 2411, "power_w": 88.5}] * 6, before={"power_cap": 1.5}, after={"power_cap": 1.6})
    load = Samples.parse(text)
    assert [reading["clock"] for reading in load.readings] == [2411] * 6
    assert (load.before, load.after) == ({"power_cap": 1.5}, {"power_cap": 1.6})
    assert load.elapsed_s == pytest.approx(0.5), "from the first reading of the counters to the last"
    assert load.source == "NVML, 6 samples in 0.5 s"


def test_the_share_of_a_core_is_cpu_time_over_elapsed_time() -> None:
    assert Samples.parse(written(*[{"clock": 2411}] * 11, cpu_s=0.02)).cpu_share == pytest.approx(0.02)


@pytest.mark.parametrize("times", range(MIN_SAMPLES))
def test_too_few_samples_are_inconclusive(times: int) -> None:
    with pytest.raises(Inconclusive, match=f"the GPU was sampled {times} times, too few to judge a load"):
        Samples.parse(written(*[{"clock": 2411}] * times))
    assert len(Samples.parse(written(*[{"clock": 2411}] * MIN_SAMPLES)).readings) == MIN_SAMPLES


def test_a_gap_between_two_samples_is_inconclusive() -> None:
    lines = [json.loads(line) for line in written(*[{"clock": 2411}] * 40).splitlines()]
    kept = [line for line in lines if "counters" in line or not 100.5 < line["t"] < 102.5]
    with pytest.raises(Inconclusive, match=r"up to 2\.\d s passed between two samples"):
        Samples.parse("".join(f"{json.dumps(line)}\n" for line in kept))


def test_fewer_than_half_of_the_requested_samples_are_inconclusive() -> None:
    lines = [json.loads(line) for line in written(*[{"clock": 2411}] * 41).splitlines()]
    seldom = [line for at, line in enumerate(lines) if "counters" in line or at % 3 == 0]
    with pytest.raises(Inconclusive, match="wanted 10 times a second"):
        Samples.parse("".join(f"{json.dumps(line)}\n" for line in seldom))


def test_a_counter_that_is_reported_only_once_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="reported its counter of power cap before the load and not after it"):
        assert counted({"power_cap": 1.0}, {}).power_capped == 0


@pytest.mark.parametrize(
    "kept", [slice(0), slice(1, None), slice(-1), slice(1, -1)], ids=["all", "first", "last", "both"]
)
def test_samples_without_counters_at_both_ends_are_inconclusive(kept: slice) -> None:
    """A sampler that was killed has not written the last line."""
    lines = written(*[{"clock": 2411}] * 9).splitlines(keepends=True)
    with pytest.raises(Inconclusive, match="too few to judge a load"):
        Samples.parse("".join(lines[kept]))


def test_a_field_that_the_driver_does_not_have_is_inconclusive() -> None:
    load = samples("clock", *[2411] * 9)
    assert load.has("clock")
    assert not load.has("power_w")
    for question in (load.median, load.highest, load.is_constant, load.steadiness):
        with pytest.raises(Inconclusive, match="the driver reports no power w of this GPU"):
            question("power_w")
    with pytest.raises(Inconclusive, match="the driver reports no event reasons of this GPU"):
        load.share(POWER_CAP)


def test_a_field_with_only_zeros_is_reported() -> None:
    load = samples("clock", *[0] * 9)
    assert (load.has("clock"), load.median("clock"), load.highest("clock")) == (True, 0, 0)


def test_one_stray_sample_does_not_move_the_median() -> None:
    load = samples("clock", 2400, 2411, 208, 2405, 2500)
    assert (load.median("clock"), load.highest("clock")) == (2405, 2500)
    assert samples("clock", 1, 2, 4, 3, 6, 5).median("clock") == 3.5


def test_a_clock_stands_still_also_with_a_dip_between_two_rounds() -> None:
    assert samples("clock", *[2086] * 9, 600).stands("clock", 15)
    assert not samples("clock", *[2086] * 8, 600, 600).stands("clock", 15)
    assert samples("clock", 2086, 2071, 2086, 2071, 2086).stands("clock", 15)
    assert not samples("clock", 2086, 2070, 2086, 2070, 2086).stands("clock", 15)


@pytest.mark.parametrize(
    ("clocks", "constant"),
    [
        ((1005,) * 6, True),
        ((1005, 1005, 1020, 1005, 1005), True),
        ((1005, 1005, 1021, 1005, 1005), False),
        ((990, 1005, 1005, 1005, 1020), False),
        ((1005, 1005, 208, 1005, 1005), False),
    ],
    ids=["one value", "one step", "more than one", "two steps", "one dip"],
)
def test_a_clock_that_varies_by_one_step_of_15_mhz_is_constant(clocks: tuple[int, ...], constant: bool) -> None:
    assert samples("clock", *clocks).is_constant("clock") is constant


@pytest.mark.parametrize(
    ("clocks", "steadiness"),
    [
        ((2400,) * 9, 1.0),
        ((2400, 2400, 2400, 2400, 2400, 2400, 1200, 1200, 1200), 0.5),
        ((1200, 1200, 1200, 2400, 2400, 2400, 2400, 2400, 2400), 2.0),
        ((2400, 2400, 2400, 600, 600, 600, 2400, 2400, 2400), 1.0),
        ((2400, 2400, 2400, 2400, 2400, 2400, 2400, 600, 2400), 1.0),
        ((2400, 2000, 2000, 2000, 1800), 0.75),
    ],
    ids=["steady", "fallen", "risen", "dip in the middle", "one stray sample", "fewest samples"],
)
def test_steadiness_is_the_last_third_over_the_first(clocks: tuple[int, ...], steadiness: float) -> None:
    assert samples("clock", *clocks).steadiness("clock") == pytest.approx(steadiness)


def test_a_clock_that_falls_gradually_is_not_steady() -> None:
    assert samples("clock", *range(2400, 1200, -20)).steadiness("clock") < 0.7


def test_a_share_counts_samples_with_any_of_the_reasons() -> None:
    load = samples("event_reasons", IDLE, POWER_CAP, POWER_CAP | CLOCK_SETTING, CLOCK_SETTING, SLOWDOWN)
    assert load.share(POWER_CAP) == 0.4
    assert load.share(CLOCK_SETTING) == 0.4
    assert load.share(POWER_CAP | CLOCK_SETTING) == 0.6, "not the sum: one sample has both"
    assert load.share(POWER_BRAKE) == 0


@pytest.mark.parametrize(
    ("reason", "share"),
    [
        (POWER_CAP, "power_capped"),
        (THERMAL_SOFTWARE, "hot"),
        (THERMAL_HARDWARE, "hot"),
        (POWER_BRAKE, "braked"),
        (CLOCK_SETTING, None),
        (SLOWDOWN, "braked"),
        (SLOWDOWN | THERMAL_HARDWARE, "hot"),
        (IDLE, None),
    ],
)
def test_each_event_reason_counts_for_one_share_only(reason: int, share: str | None) -> None:
    load = samples("event_reasons", reason, *[IDLE] * 4)
    shares = {name: getattr(load, name) for name in ("power_capped", "hot", "braked")}
    assert shares == dict.fromkeys(shares, 0.0) | ({share: 0.2} if share else {})


@pytest.mark.parametrize(
    ("counter", "share"),
    [
        ("power_cap", "power_capped"),
        ("thermal_software", "hot"),
        ("thermal_hardware", "hot"),
        ("power_brake", "braked"),
    ],
)
def test_a_slowdown_between_samples_shows_in_the_counters(counter: str, share: str) -> None:
    load = counted({counter: 7.0}, {counter: 7.3})
    shares = {name: getattr(load, name) for name in ("power_capped", "hot", "braked")}
    assert shares == pytest.approx(dict.fromkeys(shares, 0.0) | {share: 0.3})


def test_a_slowdown_that_counters_miss_shows_in_the_samples() -> None:
    reasons = [{"event_reasons": POWER_CAP}] * 3 + [{"event_reasons": IDLE}] * 8
    load = Samples.parse(written(*reasons, before={"power_cap": 7.0}, after={"power_cap": 7.1}))
    assert load.power_capped == pytest.approx(3 / 11)


def test_counters_that_grew_by_more_than_the_elapsed_time_are_a_share_of_one() -> None:
    """They are updated every 100 ms, and read shortly before the first sample and after the last."""
    assert counted({"power_cap": 7.0}, {"power_cap": 8.2}).power_capped == 1.0


def test_only_the_growth_of_a_counter_counts() -> None:
    """It counts since the driver was loaded, not since the start of sampling."""
    assert counted({"power_cap": 86400.0}, {"power_cap": 86400.0}).power_capped == 0.0


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, {}), ({}, {"power_cap": 9.0}), ({"power_brake": 1.0}, {"power_brake": 2.0})],
    ids=["never", "only after", "another one"],
)
def test_a_missing_counter_is_a_share_of_zero(before: dict[str, float], after: dict[str, float]) -> None:
    assert counted(before, after).counted("power_cap") == 0.0


def test_the_counter_with_the_largest_growth_counts() -> None:
    load = counted(
        {"thermal_software": 1.0, "thermal_hardware": 1.0}, {"thermal_software": 1.1, "thermal_hardware": 1.4}
    )
    assert load.hot == pytest.approx(0.4)


def looked(*looks: dict[str, Any]) -> Samples:
    """Samples of which every third also lists the processes."""
    readings: list[dict[str, Any]] = [{"clock": 2411} for _ in range(3 * len(looks))]
    for at, look in enumerate(looks):
        readings[3 * at] |= look
    return Samples.parse(written(*readings))


ALONE = {"compute_processes": [7], "graphics_processes": [2211]}


def test_the_workload_alone_has_no_neighbour() -> None:
    assert looked(ALONE, ALONE, ALONE).neighbours(0) is None


def test_a_process_that_computes_only_in_the_middle_is_a_neighbour() -> None:
    samples = looked(ALONE, ALONE | {"compute_processes": [7, 4711]}, ALONE)
    assert samples.neighbours(0) == "GPU 0 was shared: 2 compute processes ([7, 4711])"


def test_as_many_processes_as_are_of_this_run_are_no_neighbours() -> None:
    samples = looked(ALONE, ALONE | {"compute_processes": [7, 4711]}, ALONE)
    assert samples.neighbours(0, ours=2) is None


def test_processes_that_follow_each_other_are_neighbours() -> None:
    assert looked(ALONE, ALONE | {"compute_processes": [4711]}).neighbours(0) is not None


@pytest.mark.parametrize(
    ("shares", "neighbour"),
    [
        ([{"7": 93, "2211": 4}] * 3, False),
        ([{"7": 93}, {"7": 40, "4711": 60}, {"7": 93}], True),
        ([{"7": 93, "4711": 12}] * 3, True),
        ([{"7": 93, "4711": 10}] * 3, False),
        ([{"7": 93}, {"7": 93, "4711": 25}, {"7": 93}], False),
        ([{}, {}, {}], False),
    ],
    ids=["a desktop", "a burst", "little all the time", "at the limit", "a small burst", "no samples"],
)
def test_graphics_are_a_neighbour_once_they_keep_the_gpu_busy(shares: list[dict[str, int]], neighbour: bool) -> None:
    samples = looked(*(ALONE | {"process_utilization": share} for share in shares))
    assert (samples.neighbours(0) is not None) == neighbour
    assert not neighbour or "process 4711 used" in str(samples.neighbours(0))


def test_a_driver_that_lists_no_processes_leaves_it_open_whether_there_were_any() -> None:
    with pytest.raises(Inconclusive, match="cannot tell whether GPU 3 was shared: no answer"):
        samples("clock", *[2411.0] * 6).neighbours(3)
