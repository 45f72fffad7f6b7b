"""Kernel log: since the boot neither the GPUs nor memory, CPUs, PCIe and drives have reported a fault."""

from dgxcert import requirement
from dgxcert.probes.host import kernel_log


@requirement(
    "GPU-XID",
    title="The kernel log of this boot holds no fault of a GPU, or of what it depends on",
    why="A GPU that loses its firmware, its link or a memory row ends a training run in the middle, or corrupts it.",
    remedy=(
        "Read the state and the log: nvidia-smi; sudo dmesg | grep -E 'NVRM|Xid|Hardware Error|EDAC|AER'",
        "Look each number up: https://docs.nvidia.com/deploy/xid-errors",
        "Restart the machine (sudo reboot) and run this again: the log of the new boot must stay clean.",
    ),
    takes_s=3,
    stage="host",
)
def test_the_kernel_log_of_this_boot_holds_no_fault_of_a_gpu(profile, evidence):
    log = kernel_log.read()
    evidence.advise(*log.remedy)
    evidence.record("kernel log reaches back to", log.reach, source=log.source)
    evidence.record("events of programs", log.count("application"), unit="event", source=log.describe("application"))
    evidence.record("events only recorded", log.count("note"), unit="event", source=log.describe("note"))
    evidence.record("lines of the driver", log.driver_lines, unit="line", source=log.source)
    evidence.record("events that may be faults", log.doubtful, unit="event", source=log.describe("suspicious"))
    evidence.record("refused allocations", log.refused_allocations, unit="line", source=kernel_log.NO_MEMORY)
    faults = evidence.record("faults in the kernel log", log.count("fault"), unit="event", source=log.describe("fault"))
    assert faults <= profile.limit("xid.faults")
    log.require_known()
    log.require_complete()
