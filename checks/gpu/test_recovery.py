"""GPU recovery: the driver asks for no reset or restart of a GPU."""

from dgxcert import requirement
from dgxcert.probes.gpu import recovery


@requirement(
    "GPU-RECOVERY-ACTION",
    title="The driver asks for no recovery of a GPU",
    why="A GPU that wants a reset lets no training start, or gives it memory that has failed before.",
    remedy=(
        "Read what the driver asks for: nvidia-smi -q | grep -A 2 'Recovery Action'",
        "Stop all programs on the GPU and reset it if it says so: sudo nvidia-smi --gpu-reset",
        "Restart the machine otherwise: sudo reboot",
    ),
    stage="host",
)
def test_the_driver_asks_for_no_recovery(machine, evidence):
    asked = recovery.read(machine)
    evidence.advise(*asked.remedy)
    wanted = evidence.record("GPUs that want to be recovered", len(asked.wanted), unit="GPU", source=asked.source)
    assert wanted == 0


@requirement(
    "GPU-RECOVERY-AFTER",
    title="After the work the driver asks for no recovery of a GPU",
    why="A fault that a training met may leave a GPU that the next one cannot use.",
    remedy=(
        "Read what the driver asks for: nvidia-smi -q | grep -A 2 'Recovery Action'",
        "Read what happened under load: sudo dmesg -T | grep -iE 'nvrm|xid'",
        "Reset or restart as it says, run this again, and open a hardware case with both run folders if it returns.",
    ),
    stage="after",
)
def test_the_work_has_left_no_gpu_to_recover(machine, evidence):
    asked = recovery.read(machine)
    evidence.advise(*asked.remedy)
    wanted = evidence.record("GPUs that want to be recovered", len(asked.wanted), unit="GPU", source=asked.source)
    assert wanted == 0
