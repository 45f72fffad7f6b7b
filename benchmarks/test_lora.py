"""LoRA: training steps per second of small adapters on a frozen model."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads.round_timer import time_rounds
from dgxcert.workloads.training import lora


@requirement(
    "LORA-SPEED",
    why="Fine-tuning with adapters is what the course and most users of such a machine do with it.",
    remedy=(
        "No gradient or no falling loss: the software is at fault; install the stack as pinned, or use the container.",
        "Losses differ: two ways to train the same model disagree; install the stack as pinned, then run it again.",
        "Slow: look at MATMUL-SPEED and MEMORY-BANDWIDTH first, and mend what is low there.",
        "Only this slow: look for other work on the machine (`nvidia-smi`, `top`), then run it again.",
    ),
    tier="standard",
    takes_s=20,
    budget_s=420,
)
@pytest.mark.parametrize("case", benchmark_cases.LORA, ids=str)
def test_lora_training_reaches_its_rate(benchmark, device, profile, evidence, case):
    workload = lora.prepare(device, profile, case)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    workload.record_use(evidence, rounds)
    measured = rate(evidence, "LoRA", workload.work, rounds, unit="step/s", spread=profile.limit(case.spread))
    assert measured >= profile.limit(case.limit("lora"))
