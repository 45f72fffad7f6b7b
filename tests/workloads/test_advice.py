"""Advice: the wheel comes before the hardware only at a normal clock, and slow mapping rejects no machine."""

import pytest

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.rounds import Around, Rounds
from dgxcert.profiles import profile as profiles
from dgxcert.workloads import advice

SPARK = profiles.load("dgx-spark")


def rounds(**around: float) -> Rounds:
    return Rounds((1.0, 1.0, 1.0, 1.0), around=Around(**around))


def quantity(value: float, unit: str) -> Quantity:
    return Recorder().record("a rate", value, unit=unit, source="a test")


WHEEL_FIRST = {
    "bf16 of a nightly for CUDA 12.8": ("matmul.bf16", 11.9, {"clock_mhz": 2411}, True),
    "fp16 of a wheel for CUDA 12.9": ("matmul.fp16", 5.8, {"clock_mhz": 1900}, True),
    "FP8 without fast accumulation": ("matmul.fp8", 61, {"clock_mhz": 2411}, True),
    "a stuck unit": ("matmul.bf16", 36.5, {"clock_mhz": 780}, False),
    "a clock just below normal": ("matmul.bf16", 36.5, {"clock_mhz": 1899}, False),
    "a clock that is not reported": ("matmul.bf16", 11.9, {}, False),
    "a hot unit": ("matmul.bf16", 11.9, {"clock_mhz": 2411, "hot": 0.2}, False),
    "a power supply that asks for less": ("matmul.bf16", 11.9, {"clock_mhz": 2411, "braked": 0.2}, False),
    "a unit that is a little slow": ("matmul.bf16", 70, {"clock_mhz": 2411}, False),
    "a rate as required": ("matmul.bf16", 75, {"clock_mhz": 2411}, False),
}


@pytest.mark.parametrize("case", WHEEL_FIRST)
def test_the_wheel_comes_first_where_products_are_far_too_slow_at_a_normal_clock(case: str) -> None:
    limit, value, around, wheel = WHEEL_FIRST[case]
    first = advice.kernels_first(SPARK, quantity(value, "TFLOP/s"), limit, rounds(**around))
    assert first == (advice.WHEEL if wheel else ())


def test_the_wheel_is_never_named_where_the_profile_has_no_number_for_it() -> None:
    slow = quantity(1, "TFLOP/s")
    for name in ("cpu", "h200", "generic-nvidia"):
        assert advice.kernels_first(profiles.load(name), slow, "matmul.bf16", rounds(clock_mhz=2411)) == ()


def test_below_40_tflops_the_wheel_is_named_before_the_hardware() -> None:
    working = rounds(clock_mhz=2411)
    for precision in ("bf16", "fp16"):
        assert advice.kernels_first(SPARK, quantity(40, "TFLOP/s"), f"matmul.{precision}", working)


@pytest.mark.parametrize(
    ("precision", "clock_mhz", "first"), [("nf4", 2411, True), ("nf4", 780, False), ("bf16", 2411, False)]
)
def test_bitsandbytes_comes_first_where_nf4_is_slow_at_a_normal_clock(
    precision: str, clock_mhz: float, first: bool
) -> None:
    steps = advice.bitsandbytes_first(SPARK, precision, rounds(clock_mhz=clock_mhz))
    assert steps == (advice.BITSANDBYTES if first else ())


@pytest.mark.parametrize(("way", "speed", "noted"), [("mmap", 0.1, True), ("mmap", 0.5, False), ("read", 0.1, False)])
def test_slow_mapping_is_noted(way: str, speed: float, noted: bool) -> None:
    evidence = Recorder()
    advice.note_mapping(evidence, SPARK, way, evidence.record("load", speed, unit="GB/s", source="a test"))
    assert [kept.name for kept in evidence.kept[1:]] == ["advice"] * noted
    assert evidence.violated == []


def test_mapping_at_the_speed_of_a_healthy_stock_kernel_rejects_no_machine() -> None:
    assert quantity(0.1, "GB/s") >= SPARK.limit("load.mmap")
    assert not quantity(0.04, "GB/s") >= SPARK.limit("load.mmap")
