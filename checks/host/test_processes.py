"""GPU processes: no other process computes or keeps drawing on the GPUs that are measured."""

from dgxcert import requirement
from dgxcert.probes.gpu import processes


@requirement(
    "HOST-GPU-IDLE",
    title="No other process uses the GPUs",
    why="A shared GPU trains and generates more slowly, so no measurement shows what the machine can do.",
    remedy=(
        "List the processes on the GPUs: nvidia-smi",
        "End them (sudo kill PID) or wait for them, then run this again.",
    ),
    stage="host",
)
def test_no_other_process_uses_the_gpus(machine, evidence):
    idle = processes.read(machine)
    free = evidence.record("GPUs without other processes", idle, unit="GPU", source="NVML")
    gpus = evidence.record("GPUs of the driver", len(machine.gpus), unit="GPU", source="NVML")
    assert free >= gpus
