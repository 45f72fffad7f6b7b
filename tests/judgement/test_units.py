"""Units: each quantity has the units that it can be measured in."""

import pytest

from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE, PEAKS, QUANTITIES


@pytest.mark.parametrize("name", [name for name in PEAKS if name.startswith("matmul.")])
def test_a_peak_has_the_unit_of_the_speed_that_it_bounds(name: str) -> None:
    assert (PEAKS[name],) == QUANTITIES[name]


@pytest.mark.parametrize("kind", ["prefill", "decode", "lora"])
def test_a_speed_with_a_roofline_is_limited_in_its_own_unit_or_as_a_share(kind: str) -> None:
    names = [name for name in QUANTITIES if name.startswith(f"{kind}.")]
    assert names
    for name in names:
        assert name.split(".")[1] in (*benchmark_cases.MATMUL, benchmark_cases.NF4, benchmark_cases.INT4)
        assert QUANTITIES[name][1:] == (OF_ROOFLINE, OF_CEILING)


OF_MAXIMUM = {"link.width", "link.generation", "clock.under_load", "clock.free"}


@pytest.mark.parametrize("name", sorted(OF_MAXIMUM))
def test_a_quantity_whose_maximum_the_driver_reports_is_limited_in_its_own_unit_or_as_a_share_of_it(name: str) -> None:
    """A limit for all cards can be no absolute number here; the maximum is measured, so there is no roofline."""
    own, *shares = QUANTITIES[name]
    assert not own.startswith("of ")
    assert shares == [OF_CEILING]


def test_every_other_quantity_has_exactly_one_unit() -> None:
    bounded = {name for name in QUANTITIES if name.startswith(("prefill.", "decode.", "lora."))}
    others = QUANTITIES.keys() - bounded - OF_MAXIMUM
    assert {name: len(QUANTITIES[name]) for name in others} == dict.fromkeys(others, 1)
