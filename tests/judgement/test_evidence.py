"""Evidence records both sides of every comparison; a quantity that was not compared never passes."""

import math
import operator
import signal
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
import torch

from dgxcert.judgement.evidence import Comparison, Evidence, Quantity, Recorder, format_quantity, violation
from dgxcert.judgement.limit import Bound, Limit
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host.xid import Kind

UNIT = "token/s"
AT_LEAST_13 = Limit(name="decode.fp16", min=13, unit=UNIT, source="85 % of 273 GB/s")
AT_MOST_13 = Limit(name="decode.fp16", max=13, unit=UNIT, source="the fastest machine measured")
MEMORY = Limit(name="device.memory", min=118, max=123, unit="GiB", source="users' logs")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture
def decode(evidence: Recorder) -> Callable[..., Quantity]:
    def record(value: Any, **about: Any) -> Quantity:
        return evidence.record("decode", value, **{"unit": UNIT, "source": "10 rounds"} | about)

    return record


def test_a_comparison_keeps_both_sides_with_unit_and_origin(decode: Callable[..., Quantity]) -> None:
    measured = decode(9.8)
    assert (measured >= AT_LEAST_13) is False
    assert measured.evidence.held_against == [
        Comparison(
            sign=">=",
            name="decode",
            value=13.0,
            unit=UNIT,
            source="limit decode.fp16: 85 % of 273 GB/s",
            measured=9.8,
            holds=False,
        )
    ]


@pytest.mark.parametrize(("value", "holds"), [(12.999, False), (13, True), (13.0, True), (13.001, True)])
def test_a_lower_edge_is_part_of_what_is_allowed(decode: Callable[..., Quantity], value: float, holds: bool) -> None:
    assert (decode(value) >= AT_LEAST_13) is holds
    assert operator.le(AT_LEAST_13, decode(value)) is holds, "turned around, the sign turns with it"


@pytest.mark.parametrize(("value", "holds"), [(12.999, True), (13, True), (13.001, False)])
def test_an_upper_edge_is_part_of_what_is_allowed(decode: Callable[..., Quantity], value: float, holds: bool) -> None:
    assert (decode(value) <= AT_MOST_13) is holds


@pytest.mark.parametrize(("value", "holds"), [(117.9, False), (118, True), (123, True), (123.1, False)])
def test_within_compares_with_every_edge_and_records_each(evidence: Recorder, value: float, holds: bool) -> None:
    memory = evidence.record("memory", value, unit="GiB", source="/proc/meminfo")
    assert memory.within(MEMORY) is holds
    assert [each.sign for each in memory.evidence.held_against] == [">=", "<="]
    assert len(evidence.violated) == (not holds)


@pytest.mark.parametrize(("value", "holds"), [(1, True), (0, False), (2, False)])
def test_within_compares_with_an_exact_number(evidence: Recorder, value: int, holds: bool) -> None:
    one = Limit(name="gpu.count", equals=1, unit="GPU", source="profile")
    assert evidence.record("GPUs", value, unit="GPU", source="NVML").within(one) is holds
    assert [each.sign for each in evidence.kept[0].held_against] == ["=="]


@pytest.mark.parametrize(
    ("compare", "limit"), [(operator.ge, AT_MOST_13), (operator.le, AT_LEAST_13), (operator.eq, AT_LEAST_13)]
)
def test_an_edge_that_the_limit_lacks_is_inconclusive(
    decode: Callable[..., Quantity], evidence: Recorder, compare: Callable[[Any, Any], bool], limit: Limit
) -> None:
    with pytest.raises(Inconclusive, match=r"limit decode\.fp16 has no `?(min|max|equals)"):
        compare(decode(13.0), limit)
    assert not evidence.compared


@pytest.mark.parametrize("compare", [operator.lt, operator.gt])
def test_a_strict_comparison_with_a_limit_is_inconclusive(
    decode: Callable[..., Quantity], compare: Callable[[Any, Any], bool]
) -> None:
    with pytest.raises(Inconclusive, match="compared with >= or <="):
        compare(decode(13.0), AT_LEAST_13)


@pytest.mark.parametrize("edge", ["min", "max", "equals"])
def test_a_limit_in_another_unit_is_inconclusive(decode: Callable[..., Quantity], edge: str) -> None:
    limit = Limit.model_validate({"name": "decode.fp16", edge: 13, "unit": "GB/s", "source": "a slip"})
    with pytest.raises(Inconclusive, match="is in 'GB/s', but decode was measured in 'token/s'") as raised:
        decode(13.0).within(limit)
    assert raised.value.remedy == ("Write limit decode.fp16 in 'token/s' in the profile.",)


@pytest.mark.parametrize(("share", "holds"), [(0.49, True), (0.5, True), (0.51, False)])
@pytest.mark.parametrize("bound", ["roofline", "ceiling"])
def test_a_share_is_compared_with_the_bound_of_its_name(
    evidence: Recorder, bound: str, share: float, holds: bool
) -> None:
    bounds = {"roofline": 1e6, "ceiling": 1e6} | {bound: 20.0}
    made: dict[str, Any] = {name: Bound(value=value, unit=UNIT, source=name) for name, value in bounds.items()}
    measured = evidence.record("decode", 10.0, unit=UNIT, source="10 rounds", **made)
    limit = Limit(name="decode.fp16", min=share, unit=f"of {bound}", source="half of it")
    assert (measured >= limit) is holds
    (kept,) = measured.evidence.held_against
    assert (kept.measured, kept.value, kept.unit) == (0.5, share, f"of {bound}")


@pytest.mark.parametrize("bound", ["roofline", "ceiling"])
def test_a_share_of_a_missing_bound_is_inconclusive(decode: Callable[..., Quantity], bound: str) -> None:
    other = {"roofline": "ceiling", "ceiling": "roofline"}[bound]
    measured = decode(10.0, **{other: Bound(value=20, unit=UNIT, source="derived")})
    with pytest.raises(Inconclusive, match=f"is in 'of {bound}', but"):
        _ = measured >= Limit(name="decode.fp16", min=0.1, unit=f"of {bound}", source="a tenth of it")


def test_two_quantities_compare_and_the_other_ones_source_is_kept(evidence: Recorder) -> None:
    bf16 = evidence.record("bf16", 5.0, unit="TFLOP/s", source="15 rounds")
    fp32 = evidence.record("fp32", 4.0, unit="TFLOP/s", source="7 rounds")
    assert [bf16 >= fp32, bf16 > fp32, bf16 <= fp32, bf16 < fp32] == [True, True, False, False]
    assert {each.source for each in bf16.evidence.held_against} == {"fp32: 7 rounds"}


def test_two_quantities_in_different_units_do_not_compare(evidence: Recorder) -> None:
    rate = evidence.record("copy", 5.0, unit="GB/s", source="here")
    with pytest.raises(TypeError, match="copy is in 'GB/s', clock in 'MHz'"):
        _ = rate >= evidence.record("clock", 4.0, unit="MHz", source="here")


@pytest.mark.parametrize("bare", [13, 12.5, "13 token/s", None, True])
def test_a_bare_number_has_no_source_so_nothing_is_ordered_by_it(decode: Callable[..., Quantity], bare: object) -> None:
    with pytest.raises(Inconclusive, match=r"which says neither unit nor source\. Write `>= profile\.limit"):
        _ = decode(20.0) >= bare


def test_a_string_has_no_order(evidence: Recorder) -> None:
    with pytest.raises(TypeError, match="which is not a number"):
        _ = evidence.record("clock", "not readable", unit=UNIT, source="NVML") >= AT_LEAST_13


@pytest.mark.parametrize(("wanted", "holds"), [("NVIDIA GB10", True), ("NVIDIA H200", False)])
def test_a_string_is_compared_with_a_string(evidence: Recorder, wanted: str, holds: bool) -> None:
    product = evidence.record("product", "NVIDIA GB10", source="NVML")
    assert (product == wanted) is holds
    assert len(evidence.violated) == (not holds)


@pytest.mark.parametrize("other", [None, ["NVIDIA GB10"], b"NVIDIA GB10"])
def test_equality_with_another_type_is_refused(evidence: Recorder, other: object) -> None:
    """Python would otherwise compare identities, and nothing would be recorded."""
    product = evidence.record("product", "NVIDIA GB10", source="NVML")
    with pytest.raises(TypeError, match="with a limit or a plain fact"):
        _ = product == other
    with pytest.raises(TypeError, match="with a limit or a plain fact"):
        _ = product == evidence.record("product", "NVIDIA GB10", source="NVML")


def test_inequality_is_refused(decode: Callable[..., Quantity]) -> None:
    with pytest.raises(TypeError, match="what it must not be"):
        _ = decode(1.0) != 0


@pytest.mark.parametrize(("fact", "holds"), [(True, True), (False, False), (numpy.True_, True), (numpy.False_, False)])
def test_only_true_holds(evidence: Recorder, fact: Any, holds: bool) -> None:
    assert evidence.record("bf16 supported", fact, source="torch").holds() is holds
    assert len(evidence.violated) == (not holds)


@pytest.mark.parametrize("fact", [1, 0, 1.0, "True", "", numpy.int64(1)])
def test_a_fact_that_is_not_yes_or_no_is_a_mistake_of_the_check(evidence: Recorder, fact: Any) -> None:
    with pytest.raises(TypeError, match="which is neither true nor false"):
        evidence.record("bf16 supported", fact, source="torch").holds()
    assert not evidence.compared


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(True, 1), (1, True), (False, 0), (0.0, False), ("1", 1), (1, "1"), ("True", True), (True, "True")],
    ids=repr,
)
def test_yes_or_no_a_number_and_text_are_never_compared(evidence: Recorder, value: Any, wanted: Any) -> None:
    """To Python, True == 1: a count would pass for a fact, and text for a failure of the machine."""
    with pytest.raises(TypeError, match="which cannot be compared with"):
        _ = evidence.record("result", value, source="torch") == wanted
    with pytest.raises(TypeError, match="which cannot be compared with"):
        _ = evidence.record("result", value, source="torch") == Limit(name="r", equals=wanted, unit="", source="s")
    assert not evidence.compared


@pytest.mark.parametrize("compare", [operator.ge, operator.le])
@pytest.mark.parametrize("value", [True, False, "0.7", numpy.True_, torch.tensor(True)])
def test_neither_text_nor_yes_or_no_is_above_or_below_a_limit(
    evidence: Recorder, value: Any, compare: Callable[[Any, Any], bool]
) -> None:
    both = Limit(name="l", min=0.5, max=0.5, unit="", source="s")
    with pytest.raises(TypeError, match="which is not a number"):
        compare(evidence.record("x", value, source="torch"), both)
    with pytest.raises(TypeError, match="which is not a number"):
        compare(evidence.record("x", 1, source="torch"), evidence.record("y", value, source="torch"))
    assert not evidence.compared


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (numpy.float32(0.5), 0.5),
        (numpy.float64(0.5), 0.5),
        (numpy.float16(0.5), 0.5),
        (numpy.int64(3), 3),
        (numpy.uint8(3), 3),
        (numpy.True_, True),
        (numpy.array(3), 3),
        (numpy.str_("stop"), "stop"),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor(3), 3),
        (torch.tensor(True), True),
        (signal.SIGTERM, 15),
        (Kind.FAULT, "fault"),
    ],
)
def test_a_scalar_is_recorded_as_the_plain_value_it_holds(evidence: Recorder, value: Any, recorded: object) -> None:
    (kept,) = [evidence.record("x", value, source="torch").evidence]
    assert (kept.value, type(kept.value)) == (recorded, type(recorded))


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1j, b"1", [0.5], (1,), {}, object(), Decimal(1), Fraction(1, 2)),
        *(numpy.complex64(1), numpy.array([0.5]), numpy.datetime64("2026-01-01")),
        *(torch.tensor([0.5]), torch.tensor(1j)),
    ],
)
def test_what_is_no_plain_value_is_refused(evidence: Recorder, value: object) -> None:
    with pytest.raises(TypeError, match="record a bool, int, float or str"):
        evidence.record("x", value, source="torch")
    assert not evidence.kept


@pytest.mark.parametrize(
    "wanted", [math.nan, math.inf, numpy.float64("nan"), 10**400], ids=lambda value: repr(value)[:40]
)
def test_a_required_number_that_is_not_finite_is_inconclusive(decode: Callable[..., Quantity], wanted: Any) -> None:
    with pytest.raises(Inconclusive, match="the required value is"):
        _ = decode(1.0) == wanted


@pytest.mark.parametrize("value", [0, 1, True, False, "yes", ""])
def test_a_quantity_is_neither_true_nor_false_by_itself(decode: Callable[..., Quantity], value: Any) -> None:
    """`assert evidence.record(...)` would else pass for every number but zero."""
    with pytest.raises(TypeError, match="compare decode with what it must be"):
        bool(decode(value))


def test_a_quantity_is_not_hashable(decode: Callable[..., Quantity]) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(decode(1.0))


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, math.inf, -math.inf, 10**400),
        *(kind(word) for kind in (numpy.float16, numpy.float32, numpy.float64) for word in ("nan", "inf", "-inf")),
        *(torch.tensor(word, dtype=kind) for kind in (torch.float32, torch.bfloat16) for word in (math.nan, -math.inf)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_nan_and_infinity_are_inconclusive(decode: Callable[..., Quantity], evidence: Recorder, value: Any) -> None:
    with pytest.raises(Inconclusive, match="decode is"):
        decode(value)
    assert not evidence.kept


def test_recording_alone_compares_nothing(decode: Callable[..., Quantity], evidence: Recorder) -> None:
    measured = decode(20.0)
    assert not evidence.compared
    assert measured >= AT_LEAST_13
    assert evidence.compared


def test_require_raises_wrong_for_a_comparison_that_does_not_hold(evidence: Recorder) -> None:
    evidence.require(True)
    with pytest.raises(Wrong):
        evidence.require(False)


def test_a_violation_prints_measured_and_required_with_their_sources(evidence: Recorder) -> None:
    _ = evidence.record("decode fp16", 9.8, unit=UNIT, source="median of 10 rounds, spread 0.6 %") >= AT_LEAST_13
    assert violation(*evidence.violated[0]) == [
        "decode fp16 is 9.8 token/s, required >= 13 token/s",
        "  measured: median of 10 rounds, spread 0.6 %",
        "  required: limit decode.fp16: 85 % of 273 GB/s",
    ]


def test_a_violation_in_the_fifth_digit_is_printed_in_full(decode: Callable[..., Quantity], evidence: Recorder) -> None:
    _ = decode(13.0004) <= AT_MOST_13
    assert violation(*evidence.violated[0])[0] == "decode is 13.0004 token/s, required <= 13.0 token/s"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (91.4567, "TFLOP/s", "91.46 TFLOP/s"),
        (143771.4, "MiB", "143771 MiB"),
        (0.00012345, "relative", "0.0001234 relative"),
        (48, "GPU", "48 GPU"),
        (True, "", "True"),
        ("not readable", "", "not readable"),
    ],
)
def test_a_quantity_is_printed_with_four_digits_and_its_unit(value: Any, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


def test_evidence_survives_serialization(decode: Callable[..., Quantity], evidence: Recorder) -> None:
    decode(9.8, rounds_s=(0.1, 0.2), roofline=Bound(value=20, unit=UNIT, source="273 GB/s")).within(AT_LEAST_13)
    decode(True).holds()
    assert [Evidence.model_validate_json(kept.model_dump_json()) for kept in evidence.kept] == evidence.kept
