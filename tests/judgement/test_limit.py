"""Limits say a number, its one unit and where it comes from; what says less, or nothing finite, is no limit."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE, PEAKS, QUANTITIES, nearest

SOURCE = "85 % of 273 GB/s"


def limit(**about: Any) -> Limit:
    return Limit(**{"name": "decode.fp16", "unit": "token/s", "source": SOURCE} | about)


@pytest.mark.parametrize("edges", [{"min": 13}, {"max": 13}, {"min": 13, "max": 13}, {"equals": "GB10"}])
def test_one_edge_is_enough(edges: dict[str, Any]) -> None:
    made = limit(**edges)
    assert {name: getattr(made, name) for name in edges} == edges


@pytest.mark.parametrize("fact", [False, 0, ""])
def test_an_edge_that_reads_as_nothing_is_still_an_edge(fact: Any) -> None:
    assert limit(equals=fact).equals == fact
    assert limit(min=0).min == 0


@pytest.mark.parametrize(
    ("about", "complaint"),
    [
        ({}, "a limit needs `min`, `max` or `equals`"),
        ({"min": 13, "max": 12.9}, r"min 13\.0 is above max 12\.9"),
        ({"min": 13, "source": ""}, "`source` must say where the number comes from"),
        ({"min": 13, "source": " \n"}, "`source` must say where the number comes from"),
        ({"min": 13, "maximum": 14}, "maximum"),
        ({"min": "fast"}, "min"),
    ],
)
def test_what_says_too_little_or_contradicts_itself_is_no_limit(about: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        limit(**about)


@pytest.mark.parametrize("missing", ["name", "unit", "source"])
def test_name_unit_and_source_have_no_default(missing: str) -> None:
    whole = {"name": "decode.fp16", "unit": "token/s", "source": SOURCE, "min": 13}
    with pytest.raises(ValidationError, match=f"{missing}\n  Field required"):
        Limit(**{name: value for name, value in whole.items() if name != missing})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("edge", ["min", "max", "equals"])
def test_a_number_that_nothing_exceeds_is_no_limit(edge: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        limit(**{edge: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_nothing_exceeds_is_no_physical_bound(value: float) -> None:
    """Nothing is above NaN or infinity, so that the plausibility gate would be open."""
    with pytest.raises(ValidationError, match="finite number"):
        Bound(value=value, unit="GB/s", source="data sheet")


def test_a_limit_cannot_be_moved_while_it_is_held_against() -> None:
    made = limit(min=13)
    with pytest.raises(ValidationError, match="frozen"):
        made.min = 1
    assert made.min == 13


@pytest.mark.parametrize("name", [name for name in PEAKS if name.startswith("matmul.")])
def test_a_peak_is_in_the_unit_of_what_it_bounds(name: str) -> None:
    assert (PEAKS[name],) == QUANTITIES[name]


@pytest.mark.parametrize("kind", ["prefill", "decode", "lora"])
def test_what_has_a_roofline_may_be_limited_in_its_own_unit_or_as_a_share(kind: str) -> None:
    names = [name for name in QUANTITIES if name.startswith(f"{kind}.")]
    assert names
    for name in names:
        assert name.split(".")[1] in (*benchmark_cases.MATMUL, benchmark_cases.NF4, benchmark_cases.INT4)
        assert QUANTITIES[name][1:] == (OF_ROOFLINE, OF_CEILING)


OF_THE_MOST_THAT_IS_POSSIBLE = {"link.width", "link.generation", "clock.under_load"}


@pytest.mark.parametrize("name", sorted(OF_THE_MOST_THAT_IS_POSSIBLE))
def test_what_the_driver_knows_the_most_of_may_be_limited_in_its_own_unit_or_as_a_share_of_that(name: str) -> None:
    """A rule for all cards can say no number here; the most is measured, so that there is no share of a roofline."""
    own, *shares = QUANTITIES[name]
    assert not own.startswith("of ")
    assert shares == [OF_CEILING]


def test_every_other_quantity_has_exactly_one_unit() -> None:
    bounded = {name for name in QUANTITIES if name.startswith(("prefill.", "decode.", "lora."))}
    others = QUANTITIES.keys() - bounded - OF_THE_MOST_THAT_IS_POSSIBLE
    assert {name: len(QUANTITIES[name]) for name in others} == dict.fromkeys(others, 1)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("decode.bf61", "did you mean 'decode.bf16'?"),
        ("spred", "did you mean 'spread'?"),
        ("zzz", "known: decode.bf16, spread"),
    ],
)
def test_the_nearest_right_word_is_named_or_else_all_of_them(word: str, hint: str) -> None:
    assert nearest(word, ["spread", "decode.bf16"]) == hint
