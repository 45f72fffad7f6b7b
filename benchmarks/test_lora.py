"""LoRA: training steps per second of low-rank adapters on a frozen model."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads import advice
from dgxcert.workloads.round_timer import time_rounds
from dgxcert.workloads.training import lora

SLOW = (
    "Run `make validate ONLY=ATTENTION-CORRECT,GRADIENTS-CORRECT` if gradients are wrong: their kernels err.",
    "Read the results of STACK-VERSIONS and STACK-FILES if gradients are missing or the loss does not fall.",
    "Read them also if losses differ: two ways to train the same model disagree.",
    "See MATMUL-SPEED and MEMORY-BANDWIDTH first if it is slow, and fix what is low there.",
    "Look for other work on the machine if only this is slow: nvidia-smi; top. Then run it again.",
)


@requirement(
    "LORA-SPEED",
    title="Adapters are trained at the expected rate",
    why="Fine-tuning with PEFT adapters is what the course and most users of such a machine do with it.",
    remedy=SLOW,
    tier="standard",
    takes_s=18,
    budget_s=420,
)
@pytest.mark.parametrize("case", benchmark_cases.LORA, ids=str)
def test_lora_training_reaches_its_rate(benchmark, device, profile, evidence, case):
    workload = lora.prepare(device, profile, case)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    workload.record_use(evidence, rounds)
    measured = rate(evidence, "LoRA", workload.work, rounds, unit="step/s", spread=profile.limit(case.spread))
    evidence.advise(*advice.bitsandbytes_first(profile, case.precision, rounds), *SLOW)
    assert measured >= profile.limit(case.limit("lora"))
