"""GPU processes: nobody else computes on the GPUs that are to be measured."""

from dgxcert import requirement
from dgxcert.probes.gpu import processes


@requirement(
    "HOST-GPU-IDLE",
    why="A GPU that is shared trains and generates slower, so nothing measured on it says what the machine can do.",
    remedy=("Look who computes: nvidia-smi", "End it or wait for it, then run this again."),
    stage="host",
)
def test_nobody_else_computes_on_the_gpus(machine, evidence):
    idle = processes.read(machine)
    found = evidence.record("GPUs on which nobody computes", idle, unit="GPU", source="NVML")
    there = evidence.record("GPUs of the driver", len(machine.gpus), unit="GPU", source="NVML")
    assert found >= there
