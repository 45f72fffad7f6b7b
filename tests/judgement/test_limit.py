"""A limit is a finite number with one unit and a source; anything else is refused."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from dgxcert.judgement.limit import Bound, Limit

SOURCE = "85 % of 273 GB/s"


def limit(**about: Any) -> Limit:
    return Limit(**{"name": "decode.fp16", "unit": "token/s", "source": SOURCE} | about)


@pytest.mark.parametrize("edges", [{"min": 13}, {"max": 13}, {"min": 13, "max": 13}, {"equals": "GB10"}])
def test_one_edge_is_enough(edges: dict[str, Any]) -> None:
    created = limit(**edges)
    assert {name: getattr(created, name) for name in edges} == edges


@pytest.mark.parametrize("fact", [False, 0, ""])
def test_an_edge_that_is_false_zero_or_empty_is_still_an_edge(fact: Any) -> None:
    assert limit(equals=fact).equals == fact
    assert limit(min=0).min == 0


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({}, "a limit needs `min`, `max` or `equals`"),
        ({"min": 13, "max": 12.9}, r"min 13\.0 is above max 12\.9"),
        ({"min": 13, "source": ""}, "`source` must say where the number comes from"),
        ({"min": 13, "source": " \n"}, "`source` must say where the number comes from"),
        ({"min": 13, "maximum": 14}, "maximum"),
        ({"min": "fast"}, "min"),
    ],
)
def test_an_incomplete_or_contradictory_limit_is_refused(about: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        limit(**about)


@pytest.mark.parametrize("missing", ["name", "unit", "source"])
def test_name_unit_and_source_have_no_default(missing: str) -> None:
    whole = {"name": "decode.fp16", "unit": "token/s", "source": SOURCE, "min": 13}
    with pytest.raises(ValidationError, match=f"{missing}\n  Field required"):
        Limit(**{name: value for name, value in whole.items() if name != missing})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("edge", ["min", "max", "equals"])
def test_a_limit_that_is_not_finite_is_refused(edge: str, value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        limit(**{edge: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_physical_bound_that_is_not_finite_is_refused(value: float) -> None:
    """Nothing is above NaN or infinity, so that the plausibility gate would be open."""
    with pytest.raises(ValidationError, match="finite number"):
        Bound(value=value, unit="GB/s", source="data sheet")


def test_a_limit_is_frozen() -> None:
    created = limit(min=13)
    with pytest.raises(ValidationError, match="frozen"):
        created.min = 1
    assert created.min == 13
