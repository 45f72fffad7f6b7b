"""Prefill: tokens per second while reading a prompt, where the arithmetic units are the limit."""

import pytest

from dgxcert import requirement
from dgxcert.rounds import Rounds, rate
from dgxcert.workloads import inference


@requirement(
    "PREFILL-SPEED",
    why="How fast a prompt is read is what a person waits for before the first word of an answer.",
    remedy=(
        "Look at MATMUL-SPEED first: if it is low too, mend that.",
        "Only int4 slow: see that bitsandbytes has code for this GPU (STACK-IMPORT names its version; 0.49 or newer).",
        "Only this slow: look for other work on the machine (`nvidia-smi`, `top`), then run it again.",
    ),
    tier="standard",
    takes_s=15,
    budget_s=420,
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int4"])
def test_prefill_reaches_its_rate(benchmark, device, profile, evidence, precision):
    sizes = profile.workloads.prefill
    workload = inference.prepare_prefill(device, profile, precision)
    benchmark.pedantic(workload.run, warmup_rounds=sizes.warmup_rounds, rounds=sizes.rounds)
    rounds = Rounds.of(benchmark, device)
    workload.verify(evidence)
    measured = rate(
        evidence, f"{precision} prefill", workload.work, rounds, unit="token/s", spread=profile.limit("spread")
    )
    assert measured >= profile.limit(f"prefill.{precision}")
