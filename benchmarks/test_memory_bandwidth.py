"""Memory bandwidth: how fast bytes come from the device's memory, from the host's, and from the disk."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.workloads.hardware import bandwidth, transfer, weight_file
from dgxcert.workloads.round_timer import time_rounds


@requirement(
    "MEMORY-BANDWIDTH",
    why="Every generated token reads every weight once, so slow memory is slow generation.",
    remedy=(
        "Run it again after `sudo reboot`: slow memory that comes back fast was a state, not a part.",
        "Update firmware and driver: some releases run memory-bound work up to three times slower.",
        "Still slow: open a hardware case with the run folder.",
    ),
    tier="standard",
    takes_s=5,
    budget_s=120,
)
@pytest.mark.parametrize("direction", benchmark_cases.DIRECTIONS)
def test_memory_bandwidth_reaches_its_rate(benchmark, device, profile, evidence, direction):
    workload = bandwidth.prepare(device, profile, direction)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    measured = rate(evidence, direction, workload.work, rounds, unit="GB/s", spread=profile.limit("spread"))
    assert measured >= profile.limit(f"bandwidth.{direction}")


@requirement(
    "HOST-TRANSFER",
    why="Weights, batches and offloaded layers pass between the host's memory and the GPU's.",
    remedy=(
        "Look at GPU-LINK in the same run: a link of fewer lanes or an older generation moves less.",
        "See whether the host is busy (`top`), and with several sockets that the GPU's is used: nvidia-smi topo -m",
        "Still slow: reseat the card or try another slot, then open a hardware case with the run folder.",
    ),
    tier="standard",
    takes_s=6,
    budget_s=120,
)
@pytest.mark.parametrize("direction", benchmark_cases.TRANSFERS)
def test_transfers_between_host_and_device_reach_their_rate(benchmark, device, profile, evidence, direction):
    workload = transfer.prepare(device, profile, direction)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    measured = rate(evidence, direction, workload.work, rounds, unit="GB/s", spread=profile.limit("spread"))
    assert measured >= profile.limit(f"transfer.{direction}")


@requirement(
    "WEIGHTS-LOAD",
    why="A model of 8 B is 16 GB: at 5 GB/s it starts in 3 s, at 0.1 GB/s in three minutes, and again each time.",
    remedy=(
        "See what else reads or writes that disk: iostat -x 1; and that it is the fast one: findmnt -T ~/.cache",
        "Only `mmap` slow on a machine whose GPU shares the system's memory: kernel 6.17 or newer mends it (uname -r).",
        "Until then read files without mapping them: safetensors.torch.load(open(file, 'rb').read())",
        "Both slow: look at the drive's health (sudo nvme smart-log /dev/nvme0), then open a hardware case.",
    ),
    tier="standard",
    takes_s=15,
    budget_s=240,
)
@pytest.mark.parametrize("way", benchmark_cases.LOADS)
def test_a_cold_file_of_weights_loads_at_its_rate(benchmark, device, profile, evidence, way):
    workload = weight_file.prepare(device, profile, way)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    spread = profile.limit("spread.storage")
    measured = rate(evidence, f"load by {way}", workload.work, rounds, unit="GB/s", spread=spread)
    assert measured >= profile.limit(f"load.{way}")
