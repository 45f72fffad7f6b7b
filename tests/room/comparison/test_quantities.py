"""Quantities: every direction is known, and what says nothing of how good a machine is has none."""

from typing import Any

import pytest
from suites import kept_runs
from suites.example import HELD, finished, opened, planned, started

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.units import QUANTITIES, SPEEDS
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Outcome
from dgxcert.profiles import profile
from dgxcert.record import figures
from dgxcert.record import run as runs
from dgxcert.room.comparison import quantities
from dgxcert.room.comparison.quantities import Quantity, Reading, Table

DECODE = "DECODE-SPEED[bf16-tuned-single]"
TWO_GPUS = Machine(
    hostname="dgx-1",
    kernel="6",
    architecture="x86_64",
    cores=8,
    gpus=tuple(Gpu(index=at, product="NVIDIA H200", uuid=f"GPU-{at}", compute_capability="9.0") for at in range(2)),
)


def evidence(value: Any, *compared: tuple[str, str], name: str = "decode", unit: str = "token/s") -> Evidence:
    """A value with the signs and names of the limits that it was compared with."""
    held = [
        {"sign": sign, "name": name, "value": value, "unit": unit, "measured": value, "holds": True}
        | {"source": f"limit {limit}: a data sheet"}
        for sign, limit in compared
    ]
    about = {"name": name, "value": value, "unit": unit, "source": "10 rounds"}
    return Evidence.model_validate(about | {"held_against": held})


def read(
    *items: Evidence, outcome: Outcome = Outcome.PASSED, key: str = DECODE, **about: Any
) -> list[tuple[str, str, bool, float]]:
    """Key, name, direction and value of the quantities of a run with this evidence."""
    events = [opened(planned(key), **about), started(key), finished(key, outcome, evidence=items)]
    found = quantities.readings(runs.assemble(events, "run"))
    return [(each.quantity.key, each.quantity.name, each.quantity.higher_is_better, each.value) for each in found]


def test_a_value_that_must_reach_its_limit_is_better_the_higher_it_is() -> None:
    assert read(evidence(14.1, (">=", "decode.bf16.tuned.single"))) == [(DECODE, "decode", True, 14.1)]


def test_a_value_that_must_stay_below_its_limit_is_better_the_lower_it_is() -> None:
    item = evidence(62.0, ("<=", "temperature.under_load"), name="highest temperature", unit="°C")
    assert read(item, key="GPU-THERMAL") == [("GPU-THERMAL", "highest temperature", False, 62.0)]


@pytest.mark.parametrize(
    "item",
    [
        evidence(62.0, name="temperature", unit="°C"),
        evidence(14.1, (">=", "decode.bf16.tuned.single"), ("<=", "decode.bf16.tuned.single")),
        evidence(14.1, ("==", "decode.bf16.tuned.single")),
        evidence(580, (">=", "driver.branch"), name="driver branch", unit="driver branch"),
        evidence(812.0, (">=", "disk.free"), name="free disk", unit="GiB"),
        evidence(0, ("<=", "ecc.corrected"), name="corrected errors", unit="error"),
        evidence(1e-7, ("<=", "tolerance of fp32 products"), name="matrix product error", unit="relative"),
        evidence("fast", (">=", "decode.bf16.tuned.single")),
        evidence(True, (">=", "decode.bf16.tuned.single")),
        evidence(1e300, (">=", "decode.bf16.tuned.single")),
    ],
    ids=["no limit", "two edges", "equals", "version", "free disk", "count", "numerics", "text", "yes", "absurd"],
)
def test_what_has_no_direction_or_says_nothing_of_the_machine_is_not_compared(item: Evidence) -> None:
    assert read(item) == []


def test_what_ended_inconclusive_is_not_compared() -> None:
    item = evidence(14.1, (">=", "decode.bf16.tuned.single"))
    assert read(item, outcome=Outcome.INCONCLUSIVE) == []
    assert read(item, outcome=Outcome.FAILED) != []


def test_of_several_gpus_the_worst_counts_and_is_named() -> None:
    keys = [f"DECODE-SPEED[bf16-tuned-single-gpu{at}]" for at in range(2)]
    events = [opened(*map(planned, keys), machine=TWO_GPUS)]
    for key, value in zip(keys, (14.1, 12.7), strict=True):
        item = evidence(value, (">=", "decode.bf16.tuned.single"))
        events += [started(key), finished(key, evidence=(item,))]
    (reading,) = quantities.readings(runs.assemble(events, "run"))
    assert (reading.quantity.key, reading.value, reading.gpu) == (DECODE, 12.7, 1)


def test_of_two_temperatures_the_higher_is_the_worse() -> None:
    heat = Quantity("GPU-THERMAL", "highest temperature", "°C", "temperature.under_load", higher_is_better=False)
    assert Reading(heat, 80.0).is_worse_than(Reading(heat, 60.0))


def test_two_runs_that_read_a_quantity_in_two_directions_compare_none() -> None:
    table = Table()
    for at, higher in enumerate((True, False)):
        table.add(at, [Reading(Quantity("A", "a", "s", "clock.still", higher_is_better=higher), 1.0)])
    assert list(table.columns()) == []


def test_energy_is_the_only_figure_compared_without_a_limit() -> None:
    item = evidence(2.3, name="energy of decode", unit="J/token")
    assert read(HELD, item) == [(DECODE, "energy of decode", False, 2.3)]
    assert read(HELD, item, key="DECODE-SPEED[nf4-tuned-single]") == []


def test_the_signs_of_all_profiles_agree_with_the_directions_of_headline_figures() -> None:
    """A speed is never better the lower it is, in no profile and no headline figure."""
    for name in profile.names():
        for limit in profile.load(name).limits.values():
            if limit.name.split(".")[0] in SPEEDS:
                assert (limit.min is not None, limit.max) == (True, None), (name, limit.name)
    for wanted in figures.WANTED:
        lower = wanted.unit in ("ms", "°C", "of time", "J/token")
        assert wanted.higher_is_better is not lower, wanted.name


def test_what_is_said_to_tell_how_good_a_machine_is_are_limits() -> None:
    firsts = {name.split(".")[0] for name in QUANTITIES}
    assert set(quantities.SAYS_HOW_GOOD) <= firsts | set(QUANTITIES)


def test_a_real_run_has_its_speeds_and_no_versions() -> None:
    found = {each.quantity.name: each for each in quantities.readings(kept_runs.h200())}
    assert {"decode", "prefill", "LoRA", "copy", "bf16 matmul", "SM clock under load"} <= set(found)
    assert not {"driver branch", "free disk", "GPUs of the driver", "tokens", "time per output token"} & set(found)
    assert all(each.gpu == quantities.NO_GPU for each in found.values()), "it has one GPU"
