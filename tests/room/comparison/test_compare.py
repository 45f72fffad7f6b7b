"""Comparing: who is named as an outlier, how often by chance, and what a setting explains."""

import random
from collections.abc import Mapping

import pytest
from suites.measured_room import outliers, quantity, room

from dgxcert.judgement.units import OF_TIME
from dgxcert.record.room.document import Compared
from dgxcert.room.comparison import compare
from dgxcert.room.comparison.compare import Peers
from dgxcert.room.comparison.quantities import Quantity, Reading, Table

SEED = 20261201
DECODE = ("decode.bf16.tuned.single",)


def one(
    values: list[float], kind: Quantity | None = None, settings: list[Mapping[str, str]] | None = None
) -> list[Compared]:
    """The comparison of one quantity of machines with these values."""
    table = Table()
    for machine, value in enumerate(values):
        table.add(machine, [Reading(kind or quantity(*DECODE), value)])
    names = tuple(f"m{machine}" for machine in range(len(values)))
    return list(compare.compare(table, Peers("p", "", names, tuple(settings or [{}] * len(values)))))


def test_hardly_any_healthy_room_has_an_outlier() -> None:
    """docs/rooms.md: in about 1 of 100 healthy rooms of 30 machines and 40 quantities one is named."""
    chance = random.Random(SEED)
    named = sum(bool(outliers(room(30, 0.01, chance))) for _ in range(100))
    assert named <= 3


@pytest.mark.parametrize("machines", [5, 8])
def test_few_healthy_machines_are_not_named_by_a_scatter_that_is_too_small_by_chance(machines: int) -> None:
    chance = random.Random(SEED)
    assert sum(bool(outliers(room(machines, 0.02, chance))) for _ in range(100)) <= 5


@pytest.mark.parametrize(("slower", "least", "most"), [(0.09, 0.97, 1.0), (0.05, 0.35, 0.7)])
def test_a_slow_machine_is_found(slower: float, least: float, most: float) -> None:
    """docs/rooms.md: in which share of its quantities a machine is named that is slower in all of them."""
    chance = random.Random(SEED)
    rooms = [outliers(room(30, 0.01, chance, slow={17: slower})) for _ in range(25)]
    assert all("spark-17" in named for named in rooms)
    found = sum(named.count("spark-17") for named in rooms) / (25 * 40)
    assert least <= found <= most


def test_an_outlier_is_named_with_what_it_alone_has() -> None:
    settings = [{"kernel": "6.14.0-1015", "driver": "580"}] * 30
    settings[17] = {"kernel": "6.17.0-1026", "driver": "580"}
    (compared,) = room(30, 0.005, random.Random(SEED), slow={17: 0.09}, settings=settings, limits=DECODE)
    (outlier,) = compared.outliers
    expected = "spark-17 decodes in bf16 10 % slower than the other 29; it alone has kernel 6.17.0-1026"
    assert (outlier.host, outlier.says) == ("spark-17", expected)
    assert outlier.away == pytest.approx(0.09, abs=0.01)


def test_outliers_that_share_a_setting_alone_are_named_together() -> None:
    settings = [{"firmware": "5.37"} for _ in range(30)]
    for machine in (3, 4):
        settings[machine] = {"firmware": "5.36"}
    (compared,) = room(30, 0.005, random.Random(SEED), slow={3: 0.09, 4: 0.09}, settings=settings, limits=DECODE)
    assert [each.says.partition("; ")[2] for each in compared.outliers] == [
        "it and spark-04 alone have firmware 5.36",
        "it and spark-03 alone have firmware 5.36",
    ]


def test_a_setting_that_others_have_too_sets_nobody_apart() -> None:
    settings = [{"kernel": "6.14"} for _ in range(30)]
    settings[17] = settings[2] = {"kernel": "6.17"}
    (compared,) = room(30, 0.005, random.Random(SEED), slow={17: 0.09}, settings=settings, limits=DECODE)
    assert compared.outliers[0].says.endswith("; no setting that runs record sets it apart")


def test_a_setting_that_one_of_the_others_does_not_tell_sets_nobody_apart() -> None:
    settings: list[dict[str, str]] = [{"kernel": "6.14"} for _ in range(30)]
    settings[17], settings[2] = {"kernel": "6.17"}, {}
    (compared,) = room(30, 0.005, random.Random(SEED), slow={17: 0.09}, settings=settings, limits=DECODE)
    assert "alone" not in compared.outliers[0].says


def test_two_firmware_versions_split_a_room_and_make_no_outlier() -> None:
    settings = [{"firmware": "5.36" if machine < 14 else "5.37", "driver": "580"} for machine in range(30)]
    slow = dict.fromkeys(range(14), 0.08)
    compared = room(30, 0.01, random.Random(SEED), slow=slow, settings=settings, limits=DECODE)
    assert outliers(compared) == []
    assert [(each.among, len(each.values)) for each in compared] == [("firmware 5.37", 16), ("firmware 5.36", 14)]
    slower = "the 14 machines with firmware 5.36 decode in bf16 7 % slower than the 16 with firmware 5.37"
    assert [each.divided for each in compared] == ["", slower]


def test_a_slow_machine_in_half_of_a_divided_room_is_found() -> None:
    settings = [{"firmware": "5.36" if machine < 14 else "5.37"} for machine in range(30)]
    slow = dict.fromkeys(range(14), 0.08) | {20: 0.09}
    compared = room(30, 0.005, random.Random(SEED), slow=slow, settings=settings, limits=DECODE)
    assert outliers(compared) == ["spark-20"]
    assert "than the other 15;" in compared[0].outliers[0].says


def test_a_machine_with_a_rare_setting_is_compared_with_those_it_is_nearest_to() -> None:
    settings = [{"firmware": "5.36" if machine < 14 else "5.37"} for machine in range(30)]
    settings[29] = {"firmware": "5.35"}
    slow = dict.fromkeys(range(14), 0.08) | {29: 0.08}
    compared = room(30, 0.005, random.Random(SEED), slow=slow, settings=settings, limits=DECODE)
    assert outliers(compared) == []
    assert "spark-29" in compared[1].values
    assert sum(len(each.values) for each in compared) == 30


def test_settings_that_change_nothing_seldom_split_a_room() -> None:
    chance = random.Random(SEED)
    split = 0
    for _ in range(40):
        settings = [{"kernel": chance.choice("ab"), "BIOS": chance.choice("xy")} for _ in range(12)]
        split += any(each.among for each in room(12, 0.02, chance, settings=settings))
    assert split <= 2


def test_halves_that_no_setting_tells_apart_are_no_outliers() -> None:
    slow = dict.fromkeys(range(12), 0.08)
    (compared,) = room(30, 0.003, random.Random(SEED), slow=slow, limits=DECODE)
    assert compared.outliers == ()
    assert compared.divided.startswith("12 of 30 machines decode in bf16 ")
    assert compared.divided.endswith("than the rest, and no setting that runs record tells them apart")


def test_among_four_machines_no_outlier_is_claimed() -> None:
    (four,) = one([100.0, 100.0, 100.0, 50.0])
    assert (four.outliers, four.divided) == ((), "")
    (five,) = one([100.0, 100.0, 100.0, 100.0, 50.0])
    assert [each.host for each in five.outliers] == ["m4"]


def test_one_machine_is_compared_with_nobody() -> None:
    assert one([100.0]) == []


def test_where_most_are_equal_three_percent_are_still_needed() -> None:
    same = [100.0] * 9
    assert outliers(one([*same, 97.1])) == []
    assert outliers(one([*same, 96.9])) == ["m9"]


def test_a_difference_in_the_good_direction_is_none() -> None:
    assert outliers(one([100.0] * 9 + [150.0])) == []
    heat = Quantity("GPU-THERMAL", "highest temperature", "°C", "temperature.under_load", higher_is_better=False)
    assert outliers(one([70.0] * 9 + [45.0], heat)) == []


def test_a_hot_gpu_is_named_in_degrees() -> None:
    heat = Quantity("GPU-THERMAL", "highest temperature", "°C", "temperature.under_load", higher_is_better=False)
    (compared,) = one([70.0, 71.0, 70.0, 69.0, 72.0, 79.0, 88.0], heat)
    assert [each.says for each in compared.outliers] == [
        "m6 gets 17 °C hotter than the other 6; no setting that runs record sets it apart"
    ]


def test_a_share_of_time_is_compared_in_points_also_where_all_others_have_none() -> None:
    slowed = Quantity("GPU-THERMAL", "slowed down for heat", OF_TIME, "slowdown.thermal", higher_is_better=False)
    assert outliers(one([0.0] * 9 + [0.02], slowed)) == []
    (compared,) = one([0.0] * 9 + [0.12], slowed)
    says = "m9 is slowed down for heat for 12 % more of the time than the other 9"
    assert compared.outliers[0].says.startswith(says)
    assert compared.outliers[0].away == pytest.approx(0.12)


def test_a_gpu_of_several_is_named() -> None:
    table = Table()
    for machine in range(6):
        value, gpu = (90.0, 5) if machine == 3 else (100.0, 0)
        table.add(machine, [Reading(quantity(*DECODE), value, gpu)])
    (compared,) = compare.compare(table, Peers("p", "", tuple("abcdef"), ({},) * 6))
    assert ", on its GPU 5; " in compared.outliers[0].says


def test_a_quantity_that_not_all_have_is_compared_among_those_that_have_it() -> None:
    table = Table()
    for machine in range(7):
        kinds = DECODE if machine else ("decode.fp32.tuned.single",)
        table.add(machine, [Reading(quantity(*kinds), 100.0)])
    (compared,) = compare.compare(table, Peers("p", "", tuple("abcdefg"), ({},) * 7))
    assert list(compared.values) == list("bcdefg")
