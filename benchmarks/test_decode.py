"""Decode: tokens per second while writing, where memory bandwidth is the limit."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads.inference import generation
from dgxcert.workloads.round_timer import time_rounds


@requirement(
    "DECODE-SPEED",
    why="Every generated token reads every weight once: this is what a person waiting for an answer feels.",
    remedy=(
        "Look at MEMORY-BANDWIDTH first: if it is low too, mend that.",
        "Only nf4 slow: see that bitsandbytes has code for this GPU (STACK-IMPORT names its version; 0.49 or newer).",
        "Only `stock` slow: the host feeds the GPU too slowly; look at its load and clock (`top`, `lscpu`).",
        "Only this slow: look for other work on the machine (`nvidia-smi`, `top`), then run it again.",
    ),
    tier="standard",
    takes_s=30,
    budget_s=420,
)
@pytest.mark.parametrize("case", benchmark_cases.DECODE, ids=str)
def test_decode_reaches_its_rate(benchmark, device, profile, evidence, case):
    workload = generation.prepare_decode(device, profile, case)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    workload.record_latency(evidence, rounds)
    measured = rate(evidence, "decode", workload.work, rounds, unit="token/s", spread=profile.limit(case.spread))
    assert measured >= profile.limit(case.limit("decode"))
