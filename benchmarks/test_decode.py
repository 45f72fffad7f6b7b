"""Decode: tokens per second while a completion is generated, where memory bandwidth is the limit."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads import advice
from dgxcert.workloads.inference import generation
from dgxcert.workloads.round_timer import time_rounds

SLOW = (
    "See MEMORY-BANDWIDTH first: if it is low too, fix that.",
    "Read the result of STACK-VERSIONS if only nf4 is slow: bitsandbytes before 0.49 lacks code for newer GPUs.",
    "Check the load and the clock of the CPU if only `stock` is slow, since it feeds the GPU: top; lscpu",
    "Look for other work on the machine if only this is slow: nvidia-smi; top. Then run it again.",
)


@requirement(
    "DECODE-SPEED",
    title="Tokens are generated at the expected rate",
    why="Generating a token reads every weight once; this rate is how fast `generate` and chat pipelines answer.",
    remedy=SLOW,
    tier="standard",
    takes_s=15,
    budget_s=420,
)
@pytest.mark.parametrize("case", benchmark_cases.DECODE, ids=str)
def test_decode_reaches_its_rate(benchmark, device, profile, evidence, case):
    workload = generation.prepare_decode(device, profile, case)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    workload.record_latency(evidence, rounds)
    measured = rate(evidence, "decode", workload.work, rounds, unit="token/s", spread=profile.limit(case.spread))
    evidence.advise(*advice.bitsandbytes_first(profile, case.precision, rounds), *SLOW)
    assert measured >= profile.limit(case.limit("decode"))
