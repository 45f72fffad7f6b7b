"""Aftermath: the run's work has left no fault in the kernel log and no error in the GPU's memory."""

from dgxcert import requirement
from dgxcert.probes.gpu import health
from dgxcert.probes.host import boot, kernel_log
from dgxcert.probes.host.hardware import sensors


@requirement(
    "GPU-XID-AFTER",
    title="The work has left no fault in the kernel log",
    why="A fault that appears only under load ends the first long training, often without an error that names it.",
    remedy=(
        "Find the time of the fault: sudo dmesg -T | grep -E 'NVRM|Xid'; compare it with `started` in run.json.",
        "Look up each Xid number: https://docs.nvidia.com/deploy/xid-errors",
        "Restart the machine (sudo reboot) and run this again. If it returns, open a hardware case with both runs.",
    ),
    takes_s=1.5,
    stage="after",
)
def test_the_work_has_left_no_fault_in_the_kernel_log(machine, profile, computation, evidence):
    log = kernel_log.read().about("gpu")
    evidence.advise(*log.remedy)
    evidence.record("events of programs", log.count("application"), unit="event", source=log.describe("application"))
    faults = evidence.record("faults in the kernel log", log.count("fault"), unit="event", source=log.describe("fault"))
    assert faults <= profile.limit("xid.faults")
    log.require_known()
    log.require_complete()
    boot.require_since(machine.boot_id)
    log.require_decided(computation)


@requirement(
    "HOST-LOG-AFTER",
    title="The work has left no fault of the host in the kernel log",
    why="A drive, a memory module or a power supply that fails only under load ends the first long training.",
    remedy=(
        "Find the time of the fault: sudo dmesg -T | tail -200; compare it with `started` in run.json.",
        "Restart the machine (sudo reboot) and run this again.",
        "If it returns, open a hardware case with both runs.",
    ),
    takes_s=1.5,
    stage="after",
)
def test_the_work_has_left_no_fault_of_the_host_in_the_kernel_log(machine, profile, evidence):
    log = kernel_log.read().about("storage", "memory", "PCIe", "CPU", "power")
    evidence.advise(*log.remedy)
    evidence.record("events only recorded", log.count("note"), unit="event", source=log.describe("note"))
    faults = evidence.record("faults of the host", log.count("fault"), unit="event", source=log.describe("fault"))
    assert faults <= profile.limit("host.faults")
    log.require_known()
    log.require_undoubted()
    log.require_complete()
    boot.require_since(machine.boot_id)


@requirement(
    "BOARD-TEMPERATURE-AFTER",
    title="The work has brought no part to its critical temperature",
    why="A drive or a network card that gets too hot only under load slows down, and ends the first long training.",
    remedy=sensors.HOT,
    stage="after",
)
def test_the_work_has_brought_no_part_to_its_critical_temperature(machine, profile, evidence):
    board = sensors.settled()
    evidence.record("hottest part", board.hottest, source="hwmon and thermal zones")
    critical = evidence.record("parts at their limit", len(board.critical), unit="part", source=board.critical_source)
    assert critical <= profile.limit("board.critical")
    boot.require_since(machine.boot_id)


@requirement(
    "GPU-ECC-AFTER",
    title="The work has left no error in the GPU's memory",
    why="Memory that fails only when it is hot and full ends a training half-way, or corrupts its weights.",
    remedy=(
        "Find out which memory failed: nvidia-smi -q -d ECC,ROW_REMAPPER; and when: sudo dmesg -T | grep -i xid",
        "Stop all programs on the GPU and reset it, which replaces bad rows: sudo nvidia-smi --gpu-reset",
        "Run NVIDIA's field diagnostics if corrected errors keep coming: dcgmi diag -r 4",
        "Run this again. If there are new errors, open a hardware case with both run folders.",
    ),
    stage="after",
)
def test_the_work_has_left_no_error_in_the_gpus_memory(gpu, machine, profile, computation, evidence):
    errors, rows = health.ecc_errors(gpu.index), health.remapped_rows(gpu.index)
    uncorrected = evidence.record("uncorrected errors", errors.uncorrected, unit="error", source=errors.source)
    pending = evidence.record("rows waiting to be replaced", int(rows.pending), unit="row", source=rows.source)
    growth, source = errors.growth(gpu.index, computation)
    corrected = evidence.record("new corrected errors", growth, unit="error/s", source=source)
    assert uncorrected.within(profile.limit("ecc.uncorrected"))
    assert pending == 0
    assert corrected <= profile.limit("ecc.growth")
    boot.require_since(machine.boot_id)
