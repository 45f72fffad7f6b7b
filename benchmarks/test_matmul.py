"""Matmul: the rate of matrix multiplication, which bounds prefill and training."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.machine.trait import Trait
from dgxcert.workloads import advice
from dgxcert.workloads.hardware import matmul
from dgxcert.workloads.round_timer import time_rounds

SLOW = (
    "Run `nvidia-smi -q -d CLOCK,POWER,PERFORMANCE,TEMPERATURE` while this runs again and keep the output.",
    Trait.SPARK.only("Shut down and unplug it for a minute if it has a third of its speed and no throttle reason."),
    "Clear the vents if it is hot.",
    "Update the firmware if it is still slow, then open a hardware case with the run folder.",
)


@requirement(
    "MATMUL-SPEED",
    title="Matrix multiplication reaches the expected rate",
    why="Training and prefill are matrix multiplications; a GPU stuck at a low clock does a third of them.",
    remedy=SLOW,
    tier="standard",
    takes_s=5,
    budget_s=240,
)
@pytest.mark.parametrize("precision", benchmark_cases.MATMUL)
def test_matmul_reaches_its_rate(benchmark, device, profile, evidence, precision):
    workload = matmul.prepare(device, profile, precision)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    measured = rate(
        evidence, f"{precision} matmul", workload.work, rounds, unit="TFLOP/s", spread=profile.limit("spread")
    )
    evidence.advise(*advice.kernels_first(profile, measured, f"matmul.{precision}", rounds), *SLOW)
    assert measured >= profile.limit(f"matmul.{precision}")
