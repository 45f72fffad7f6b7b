"""Aftermath: the work that was done has left no fault behind, in the kernel log or in the GPU's memory."""

from dgxcert import requirement
from dgxcert.probes.gpu import health
from dgxcert.probes.host import boot, kernel_log


@requirement(
    "GPU-XID-AFTER",
    why="A fault that shows only under load ends the first long training, and nobody looks at the kernel log then.",
    remedy=(
        "Look when it came and what ran then: sudo dmesg -T | grep -E 'NVRM|Xid'; started and duration_s in run.json",
        "Look each number up: https://docs.nvidia.com/deploy/xid-errors",
        "Restart the machine (sudo reboot), and run this again. The same again: open a hardware case with both runs.",
    ),
    takes_s=3,
    stage="after",
)
def test_the_work_has_left_no_fault_in_the_kernel_log(machine, profile, evidence):
    log = kernel_log.read()
    evidence.advise(*log.remedy)
    evidence.record("events of programs", log.count("application"), unit="event", source=log.says("application"))
    faults = evidence.record("faults in the kernel log", log.count("fault"), unit="event", source=log.says("fault"))
    assert faults <= profile.limit("xid.faults")
    log.require_known()
    log.require_whole()
    boot.require_since(machine.boot_id)


@requirement(
    "GPU-ECC-AFTER",
    why="Memory that errs only when it is hot and full ends a training in its middle, or spoils it.",
    remedy=(
        "Look which memory: nvidia-smi -q -d ECC,ROW_REMAPPER; and when: sudo dmesg -T | grep -i xid",
        "With nobody on the GPU, reset it, so that bad rows are replaced: sudo nvidia-smi --gpu-reset",
        "Run this again. New errors: open a hardware case with both run folders.",
    ),
    stage="after",
)
def test_the_work_has_left_no_error_in_the_gpus_memory(gpu, machine, profile, evidence):
    errors, rows = health.ecc_errors(gpu.index), health.remapped_rows(gpu.index)
    uncorrected = evidence.record("uncorrected errors", errors.uncorrected, unit="error", source=errors.source)
    pending = evidence.record("rows waiting to be replaced", int(rows.pending), unit="row", source=rows.source)
    assert uncorrected.within(profile.limit("ecc.uncorrected"))
    assert pending == 0
    boot.require_since(machine.boot_id)
