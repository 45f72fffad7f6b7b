"""LoRA scaling: steps per second of adapters that all GPUs train together, beside what each of them reaches alone."""

from dgxcert import requirement
from dgxcert.workloads.training.data_parallel import scaling


@requirement(
    "LORA-SCALING",
    title="Adapters are trained on all GPUs together nearly as fast as on each alone",
    why="Trainer and accelerate train on several GPUs by DistributedDataParallel, which waits for the slowest GPU in "
    "every step: a lab that pays for eight gets what that one allows.",
    remedy=(
        "Read in the evidence of LoRA scaling which GPU computes longest, and how fast each is alone.",
        "See LORA-SPEED and ALL-GPUS-LOAD of a GPU that is slower than the others, and fix what is low there.",
        "See COLLECTIVE-SPEED if all compute alike and wait for each other: gradients are exchanged by all_reduce.",
        "Look for other work on the machine: nvidia-smi; top. Then run it again.",
    ),
    tier="standard",
    takes_s=60,
    budget_s=480,
)
def test_adapters_are_trained_together_nearly_as_fast_as_alone(devices, profile, evidence):
    together = scaling.measured(devices, profile)
    together.verify(evidence)
    share = together.measure(evidence, profile)
    assert share >= profile.limit("training.scaling")
