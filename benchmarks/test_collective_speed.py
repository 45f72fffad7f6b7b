"""Collectives: how fast several GPUs add and exchange data, each algorithm beside its own limit."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads.distributed import collectives


@requirement(
    "COLLECTIVE-SPEED",
    title="Collectives of all GPUs reach the expected bus bandwidth",
    why="Trainer on several GPUs waits in every step for the all_reduce of its gradients: slow links make eight GPUs "
    "train like four.",
    remedy=(
        "Read in the evidence which algorithm NCCL chose and over which transport: with SHM the GPUs cannot reach each "
        "other's memory.",
        "See the requirements about links in the same run, and how the GPUs are joined: nvidia-smi topo -m",
        "Unset variables that change NCCL, if this report names some: env | grep NCCL_; then run it again.",
        "Check whether the fabric manager works where there are NVSwitches: systemctl status nvidia-fabricmanager",
        "Restart the machine: sudo reboot; then open a hardware case with the run folder if it is still slow.",
    ),
    tier="standard",
    takes_s=10,
    budget_s=300,
)
@pytest.mark.parametrize("operation", benchmark_cases.COLLECTIVES)
def test_a_collective_reaches_its_bus_bandwidth(benchmark, devices, profile, evidence, operation):
    workload = collectives.prepare(devices, profile, operation)
    rounds = collectives.time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    name = f"{operation} by {workload.algorithm}"
    measured = rate(evidence, name, workload.work, rounds, unit="GB/s", spread=profile.limit("spread"))
    assert measured >= profile.limit(f"collectives.{operation}.{workload.algorithm}")
