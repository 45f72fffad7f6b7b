"""The limits of a DGX Spark: every published reading of a healthy unit passes, every one of a sick unit fails."""

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.profiles import profile as profiles

SPARK = profiles.load("dgx-spark")
HEALTHY = {
    "temperature.under_load": (86, "°C"),
    "clock.under_load": (2197, "MHz"),
    "load.mmap": (0.1, "GB/s"),
    "load.read": (2.0, "GB/s"),
    "bandwidth.read": (223, "GB/s"),
    "bandwidth.copy": (174, "GB/s"),
    "transfer.to_device": (52, "GB/s"),
    "matmul.bf16": (80, "TFLOP/s"),
    "matmul.tf32": (39.9, "TFLOP/s"),
    "matmul.fp8": (152, "TFLOP/s"),
    "prefill.bf16.tuned.single": (4345, "token/s"),
    "prefill.bf16.tuned.long": (4119, "token/s"),
    "prefill.bf16.tuned.full": (3827, "token/s"),
    "decode.bf16.stock.single": (9.9, "token/s"),
    "decode.fp16.stock.single": (9.9, "token/s"),
    "decode.bf16.tuned.single": (0.68, "of roofline"),
    "decode.bf16.tuned.full": (0.78, "of roofline"),
    "decode.bf16.tuned.full_long": (0.8, "of roofline"),
    "decode.nf4.stock.single": (26.2, "token/s"),
    "memory.free": (0.36, "of available"),
}
SICK = {
    "temperature.under_load": (88, "°C"),
    "clock.under_load": (858, "MHz"),
    "bandwidth.read": (231 / 3, "GB/s"),
    "transfer.to_device": (20, "GB/s"),
    "matmul.bf16": (36.5, "TFLOP/s"),
    "matmul.fp16": (36.5, "TFLOP/s"),
    "matmul.tf32": (18, "TFLOP/s"),
    "matmul.fp8": (61, "TFLOP/s"),
    "prefill.bf16.stock.single": (2520, "token/s"),
    "prefill.bf16.tuned.single": (2520, "token/s"),
    "prefill.bf16.tuned.long": (2200, "token/s"),
    "prefill.bf16.tuned.full": (2520, "token/s"),
    "decode.bf16.stock.single": (9.9 / 3, "token/s"),
    "decode.bf16.tuned.single": (0.72 / 3, "of roofline"),
    "decode.bf16.tuned.full": (0.5, "of roofline"),
    "decode.bf16.tuned.full_long": (0.4, "of roofline"),
    "decode.nf4.stock.single": (26.2 / 3, "token/s"),
    "lora.bf16.tuned.large": (0.25, "of roofline"),
}


def holds(name: str, value: float, unit: str) -> bool:
    return Recorder().record(name, value, unit=unit, source="a public report").within(SPARK.limit(name))


@pytest.mark.parametrize("name", HEALTHY)
def test_a_published_reading_of_a_healthy_unit_passes(name: str) -> None:
    assert holds(name, *HEALTHY[name])


@pytest.mark.parametrize("name", SICK)
def test_a_published_reading_of_a_sick_unit_fails(name: str) -> None:
    assert not holds(name, *SICK[name])
