"""Bandwidth: the device's memory, transfers between host and device, and weights loaded from disk."""

import pytest

from dgxcert import requirement
from dgxcert.judgement import benchmark_cases
from dgxcert.judgement.rounds import rate
from dgxcert.machine.trait import Trait
from dgxcert.workloads import advice
from dgxcert.workloads.hardware import bandwidth, transfer, weight_file
from dgxcert.workloads.round_timer import time_rounds


@requirement(
    "MEMORY-BANDWIDTH",
    title="Memory bandwidth reaches the expected rate",
    why="Generating a token reads every weight once, so slow memory is slow generation.",
    remedy=(
        "Reboot and run it again: sudo reboot. Memory that is fast afterwards is not defective.",
        "Update firmware and driver: some releases run memory-bound work up to three times slower.",
        "Open a hardware case with the run folder if it is still slow.",
    ),
    tier="standard",
    takes_s=2,
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
    title="Transfers between host and GPU reach the expected rate",
    why="Weights, batches and offloaded layers pass between the host's memory and the GPU's.",
    remedy=(
        "See GPU-LINK in the same run: a link with fewer lanes or of an older generation is slower.",
        "Check whether the host is busy: top; and with several sockets that the GPU's is used: nvidia-smi topo -m",
        Trait.CARD.only("Shut down, and reseat the card or try another slot, if it is still slow."),
        "Open a hardware case with the run folder if it is still slow.",
    ),
    tier="standard",
    takes_s=5,
    budget_s=120,
    alone=True,
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
    title="A cold file of weights loads at the expected rate",
    why="`from_pretrained` of an 8 B model reads 16 GB: 3 s at 5 GB/s, three minutes at 0.1 GB/s, at each start.",
    remedy=(
        "Check what else uses the disk: iostat -x 1; and that it is the fast one: findmnt -T ~/.cache",
        "Update the system if only `mmap` is slow and the GPU shares its memory, and compare kernels: uname -r",
        "Read files without mapping them until then: safetensors.torch.load(open(file, 'rb').read())",
        "Check the drive's health if both are slow: sudo nvme smart-log /dev/nvme0; then open a hardware case.",
    ),
    tier="standard",
    takes_s=20,
    budget_s=240,
)
@pytest.mark.parametrize("way", benchmark_cases.LOADS)
def test_a_cold_file_of_weights_loads_at_its_rate(benchmark, any_device, profile, evidence, way):
    workload = weight_file.prepare(any_device, profile, way)
    rounds = time_rounds(benchmark, workload, profile, evidence)
    workload.verify(evidence)
    spread = profile.limit("spread.storage")
    measured = rate(evidence, f"load by {way}", workload.work, rounds, unit="GB/s", spread=spread)
    advice.note_mapping(evidence, profile, way, measured)
    assert measured >= profile.limit(f"load.{way}")
