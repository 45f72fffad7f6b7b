"""A limit is computed from its readings and margin, or given directly; anything else is an error."""

from typing import Any

import pytest
from pydantic import ValidationError

from dgxcert.judgement.limit import Basis
from dgxcert.profiles.quantity import WrittenLimit, WrittenPeak


def limit(**about: Any) -> WrittenLimit:
    return WrittenLimit.model_validate({"unit": "GB/s", "source": "one H200"} | about)


@pytest.mark.parametrize(
    ("about", "edges"),
    [
        ({"reading": 4258, "margin": 0.11}, (3800, None)),
        ({"reading": [4297, 4258], "margin": 0.11}, (3800, None)),
        ({"reading": 4258, "margin": 0.11, "digits": 3}, (3790, None)),
        ({"reading": 28, "margin": 0.99, "digits": 1}, (0.3, None)),
        ({"reading": 4258, "margin": 0}, (4300, None)),
        ({"reading": [0.037, 0.001], "margin": 0.35, "direction": "max"}, (None, 0.05)),
        ({"reading": 0.1, "margin": 1, "direction": "max"}, (None, 0.2)),
        ({"min": 118.25, "max": 123}, (118.25, 123)),
    ],
)
def test_the_worst_reading_and_the_margin_make_the_limit(about: dict[str, Any], edges: tuple[Any, Any]) -> None:
    recorded = limit(**about).recorded("bandwidth.copy")
    assert (recorded.min, recorded.max, recorded.unit, recorded.name) == (*edges, "GB/s", "bandwidth.copy")


def test_a_limit_may_be_a_string_or_a_boolean() -> None:
    assert limit(equals=True).recorded("gpu.ecc").equals is True
    assert limit(equals="Default").recorded("gpu.compute_mode").equals == "Default"


@pytest.mark.parametrize(
    ("about", "source"),
    [
        ({"min": 3800}, "one H200"),
        ({"min": 3800, "note": "a burst"}, "one H200; a burst"),
        ({"min": 3800, "basis": "published"}, "published: one H200"),
        ({"reading": 4258, "margin": 0.11, "basis": "measured"}, "measured: 4258 GB/s less 11 %; one H200"),
        ({"reading": [4297, 4258], "margin": 0.125}, "4297 and 4258 GB/s, the lowest less 12.5 %; one H200"),
        (
            {"reading": [19, 21, 20, 20.5], "margin": 0.1},
            "4 readings from 19 to 21 GB/s, the lowest less 10 %; one H200",
        ),
        ({"reading": 0.1, "margin": 1, "direction": "max"}, "0.1 GB/s plus 100 %; one H200"),
        ({"min": 3800, "basis": "derived"}, "derived (provisional): one H200"),
    ],
)
def test_runs_record_the_basis_readings_margin_source_and_note_in_one_sentence(
    about: dict[str, Any], source: str
) -> None:
    assert limit(**about).recorded("bandwidth.copy").source == source


def test_only_a_derived_speed_is_provisional() -> None:
    assert limit(min=4, basis="derived").recorded("disk.free").source == "derived: one H200"


def test_a_peak_has_a_basis_too() -> None:
    peak = WrittenPeak(value=4800, unit="GB/s", basis=Basis.PUBLISHED, source="data sheet", note="HBM3e")
    assert peak.recorded("memory_bandwidth").source == "published: data sheet; HBM3e"
    assert WrittenPeak(value=4800, unit="GB/s", source="data sheet").recorded("memory_bandwidth").source == "data sheet"


@pytest.mark.parametrize(
    ("about", "complaint"),
    [
        ({}, "a limit needs `min`, `max` or `equals`, or `reading` and `margin`"),
        ({"margin": 0.1}, "a limit needs"),
        ({"reading": [], "margin": 0.1}, "a limit needs"),
        ({"reading": 4258}, "`reading` needs a `margin`"),
        ({"reading": 4258, "margin": 0.1, "min": 3800}, "`reading` and `min`: wanted one of them, found both"),
        ({"min": 3800, "margin": 0.1}, "`margin` is for a limit that is computed from a `reading`"),
        ({"max": 3800, "direction": "max"}, "`direction` is for a limit that is computed"),
        ({"min": 3800, "digits": 3}, "`digits` is for a limit that is computed"),
        ({"reading": 4258, "margin": 1}, "margin: wanted less than 1 below a reading, found 1"),
        ({"reading": 4258, "margin": -0.1}, "greater than or equal to 0"),
        ({"reading": "fast", "margin": 0.1}, "a valid number"),
        ({"reading": [4258, float("nan")], "margin": 0.1}, "a finite number"),
        ({"reading": 4258, "margin": 0.1, "direction": "below"}, "'min' or 'max'"),
        ({"reading": 4258, "margin": 0.1, "digits": 0}, "greater than or equal to 1"),
        ({"min": 3800, "basis": "guessed"}, "'measured', 'published' or 'derived'"),
        ({"min": 3800, "source": " "}, "must say where the number comes from"),
    ],
)
def test_a_limit_that_is_neither_computed_nor_given_is_an_error(about: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("(", r"\(")):
        limit(**about)
