"""Decode: tokens per second while writing, where memory bandwidth is the limit."""

import pytest

from dgxcert import requirement
from dgxcert.rounds import Rounds, rate
from dgxcert.workloads import inference


@requirement(
    "DECODE-SPEED",
    why="Every generated token reads every weight once: this is what a person waiting for an answer feels.",
    remedy=(
        "Look at MEMORY-BANDWIDTH first: if it is low too, mend that.",
        "Only int4 slow: see that bitsandbytes has code for this GPU (STACK-IMPORT names its version; 0.49 or newer).",
        "Only this slow: look for other work on the machine (`nvidia-smi`, `top`), then run it again.",
    ),
    tier="standard",
    takes_s=30,
    budget_s=420,
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int4"])
def test_decode_reaches_its_rate(benchmark, device, profile, evidence, precision):
    sizes = profile.workloads.decode
    workload = inference.prepare_decode(device, profile, precision)
    benchmark.pedantic(workload.run, setup=workload.fill_cache, warmup_rounds=sizes.warmup_rounds, rounds=sizes.rounds)
    rounds = Rounds.of(benchmark, device)
    workload.verify(evidence)
    measured = rate(
        evidence, f"{precision} decode", workload.work, rounds, unit="token/s", spread=profile.limit("spread")
    )
    assert measured >= profile.limit(f"decode.{precision}")
