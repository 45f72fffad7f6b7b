"""LoRA: training steps per second of small adapters on a frozen model."""

import pytest

from dgxcert import requirement
from dgxcert.rounds import Rounds, rate
from dgxcert.workloads import lora


@requirement(
    "LORA-SPEED",
    why="Fine-tuning with adapters is what the course and most users of such a machine do with it.",
    remedy=(
        "No gradient or no falling loss: the software is at fault; install the stack as pinned, or use the container.",
        "Slow: look at MATMUL-SPEED and MEMORY-BANDWIDTH first, and mend what is low there.",
        "Only this slow: look for other work on the machine (`nvidia-smi`, `top`), then run it again.",
    ),
    tier="standard",
    takes_s=20,
    budget_s=420,
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lora_training_reaches_its_rate(benchmark, device, profile, evidence, precision):
    sizes = profile.workloads.lora
    workload = lora.prepare(device, profile, precision)
    benchmark.pedantic(workload.run, warmup_rounds=sizes.warmup_rounds, rounds=sizes.rounds)
    rounds = Rounds.of(benchmark, device)
    workload.verify(evidence)
    measured = rate(evidence, f"{precision} LoRA", workload.work, rounds, unit="step/s", spread=profile.limit("spread"))
    assert measured >= profile.limit(f"lora.{precision}")
