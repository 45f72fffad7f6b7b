"""LoRA: training steps per second of small adapters on a frozen model."""

import pytest

from dgxcert import cases, requirement
from dgxcert.rounds import rate
from dgxcert.workloads import lora
from dgxcert.workloads.timing import timed


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
@pytest.mark.parametrize("case", cases.LORA, ids=str)
def test_lora_training_reaches_its_rate(benchmark, device, profile, evidence, case):
    workload = lora.prepare(device, profile, case)
    rounds = timed(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    workload.record_use(evidence, rounds)
    measured = rate(evidence, "LoRA", workload.work, rounds, unit="step/s", spread=profile.limit(case.spread))
    assert measured >= profile.limit(case.limit("lora"))
