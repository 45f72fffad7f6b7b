"""Bandwidth: how fast the device's memory is copied, which bounds decode."""

from dgxcert import requirement
from dgxcert.rounds import Rounds, rate
from dgxcert.workloads import bandwidth


@requirement(
    "MEMORY-BANDWIDTH",
    why="Every generated token reads every weight once, so slow memory is slow generation.",
    remedy=(
        "Run it again after `sudo reboot`: slow memory that comes back fast was a state, not a part.",
        "Update firmware and driver: some releases run memory-bound work up to three times slower.",
        "Still slow: open a hardware case with the run folder.",
    ),
    tier="standard",
    takes_s=3,
    budget_s=120,
)
def test_memory_bandwidth_reaches_its_rate(benchmark, device, profile, evidence):
    workload = bandwidth.prepare(device, profile)
    benchmark.pedantic(workload.run, warmup_rounds=2, rounds=profile.workloads.bandwidth.rounds)
    rounds = Rounds.of(benchmark, device)
    workload.verify(evidence)
    measured = rate(evidence, "copy", workload.work, rounds, unit="GB/s", spread=profile.limit("spread"))
    assert measured >= profile.limit("bandwidth.copy")
