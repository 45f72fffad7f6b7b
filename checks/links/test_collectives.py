"""Collectives: what several GPUs add and exchange is what they should."""

from dgxcert import requirement
from dgxcert.workloads.distributed import collectives


@requirement(
    "COLLECTIVES-CORRECT",
    title="Collectives of all GPUs are correct",
    why="Trainer and accelerate add the gradients of all GPUs by all_reduce in every step, and FSDP gathers weights: a "
    "wrong element, or a GPU whose part is missing, trains a worse model without an error.",
    remedy=(
        "Read in the evidence which rank got what from which, and whether it is always the same one.",
        "Look at the links and the driver's messages of the GPUs that are named: nvidia-smi nvlink -e; "
        "sudo dmesg | grep -iE 'nvrm|xid'",
        "Unset variables that change NCCL, if this report names some: env | grep NCCL_; then run it again.",
        "Stop all programs on the GPUs and reset them, all at once: sudo nvidia-smi --gpu-reset",
        "Open a hardware case with the run folder if the same one is named again.",
    ),
    tier="standard",
    takes_s=12,
    budget_s=240,
)
def test_collectives_of_all_gpus_are_right(devices, machine, profile, evidence):
    proof = collectives.prove(devices, machine, profile.workloads.collectives)
    misplaced = evidence.record("ranks on another device", len(proof.misplaced), unit="rank", source=proof.places)
    wrong = evidence.record("wrong blocks", proof.wrong, unit="block", source=proof.found)
    rounding = evidence.record("error of sums in bf16", proof.rounding, unit="of rounding", source=proof.rounded)
    apart = evidence.record("ranks with other bits", len(proof.apart), unit="rank", source=proof.difference)
    assert misplaced == 0
    assert wrong == 0
    assert rounding.within(collectives.sum_tolerance())
    assert apart == 0


@requirement(
    "PAIR-SPEED",
    title="Every pair of GPUs exchanges data as fast as the others",
    why="One slow pair slows every all_reduce of a training, since each step of the ring waits for it; offloading with "
    "device_map moves activations over it.",
    remedy=(
        "Read in the evidence which pair it is, and how its GPUs are joined: nvidia-smi topo -m",
        "Look at the links of both: nvidia-smi nvlink -s; nvidia-smi nvlink -e",
        "Check the slots if they are joined by PCIe: nvidia-smi -q -d PCI",
        "Restart the machine: sudo reboot; then open a hardware case with the run folder if it is still slow.",
    ),
    tier="standard",
    takes_s=1,
    budget_s=300,
)
def test_every_pair_of_gpus_is_as_fast_as_the_others(devices, profile, evidence):
    pairs = collectives.exchanged(devices, profile)
    wrong = evidence.record("wrong elements", pairs.wrong, source="all that the last exchange of each pair has moved")
    slowest = evidence.record("slowest pair", pairs.slowest, unit="of median", source=pairs.source)
    assert wrong == 0
    assert slowest >= profile.limit("collectives.slowest")
