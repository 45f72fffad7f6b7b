"""Kernel log: since the machine was started neither its GPUs nor its memory and PCIe have reported a fault."""

from dgxcert import requirement
from dgxcert.probes.host import kernel_log


@requirement(
    "GPU-XID",
    why="A GPU that loses its firmware, its link or a row of memory ends a training run in its middle, or corrupts it.",
    remedy=(
        "Look at it: nvidia-smi; sudo dmesg | grep -E 'NVRM|Xid|Hardware Error|EDAC|AER'",
        "Look each number up: https://docs.nvidia.com/deploy/xid-errors",
        "Restart the machine (sudo reboot), and run this again: the log of the new boot must stay clean.",
    ),
    takes_s=3,
    stage="host",
)
def test_the_kernel_log_of_this_boot_holds_no_fault_of_a_gpu(profile, evidence):
    log = kernel_log.read()
    evidence.advise(*log.remedy)
    evidence.record("kernel log reaches back to", log.reach, source=log.source)
    evidence.record("events of programs", log.count("application"), unit="event", source=log.says("application"))
    evidence.record("events only recorded", log.count("note"), unit="event", source=log.says("note"))
    evidence.record("refused allocations", log.benign, unit="line", source=kernel_log.NO_MEMORY)
    faults = evidence.record("faults in the kernel log", log.count("fault"), unit="event", source=log.says("fault"))
    assert faults <= profile.limit("xid.faults")
    log.require_known()
    log.require_whole()
