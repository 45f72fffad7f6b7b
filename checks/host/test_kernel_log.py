"""Kernel log: since the boot neither GPUs nor drives, memory, PCIe, CPUs and power have reported a fault."""

import pytest

from dgxcert import requirement
from dgxcert.probes.host import kernel_log
from dgxcert.probes.host.log import counters, last_boot


@pytest.fixture(scope="module")
def log():
    return kernel_log.read()


@requirement(
    "GPU-XID",
    title="The kernel log of this boot holds no fault of a GPU or its driver",
    why="A GPU that loses its firmware, its link or a memory row ends a training run in the middle, or corrupts it.",
    remedy=(
        "Read the state and the log: nvidia-smi; sudo dmesg | grep -E 'NVRM|Xid|nvidia'",
        "Look each number up: https://docs.nvidia.com/deploy/xid-errors",
        "Restart the machine (sudo reboot) and run this again: the log of the new boot must stay clean.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_of_this_boot_holds_no_fault_of_a_gpu(log, profile, computation, evidence):
    gpu = log.about("gpu")
    evidence.advise(*gpu.remedy)
    evidence.record("kernel log reaches back to", gpu.reach, source=gpu.source)
    evidence.record("events of programs", gpu.count("application"), unit="event", source=gpu.describe("application"))
    evidence.record("events only recorded", gpu.count("note"), unit="event", source=gpu.describe("note"))
    evidence.record("lines of the driver", gpu.driver_lines, unit="line", source=gpu.source)
    evidence.record("of them in no table", len(gpu.unlisted), unit="line", source=gpu.describe_unlisted())
    evidence.record("events that may be faults", gpu.doubtful, unit="event", source=gpu.describe("suspicious"))
    evidence.record("last event that may be a fault", gpu.last_doubted_s, unit="s", source="s after the boot; 0: none")
    evidence.record("refused allocations", gpu.refused_allocations, unit="line", source=kernel_log.NO_MEMORY)
    faults = evidence.record("faults in the kernel log", gpu.count("fault"), unit="event", source=gpu.describe("fault"))
    assert faults <= profile.limit("xid.faults")
    gpu.require_known()
    gpu.require_complete()
    gpu.require_decided(computation)


@requirement(
    "STORAGE-HEALTHY",
    title="The kernel log holds no error of a drive or file system",
    why="A drive that loses blocks or answers late ends a download, a checkpoint or a data set in the middle.",
    remedy=(
        "Find the drive: sudo dmesg | grep -E 'nvme|I/O error|EXT4-fs|XFS|BTRFS|F2FS'; lsblk -o NAME,MODEL,SERIAL",
        "Save what is on it elsewhere, then read its health: sudo nvme smart-log /dev/nvme0",
        "If it comes back after a restart, open a hardware case for the drive with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_holds_no_error_of_a_drive(log, profile, evidence):
    storage = log.about("storage")
    evidence.advise(*storage.remedy)
    evidence.record("events only recorded", storage.count("note"), unit="event", source=storage.describe("note"))
    drives = counters.read()
    dead = evidence.record("drives that are gone", len(drives.dead_drives), unit="drive", source=drives.drives)
    assert dead == 0
    faults = evidence.record("faults of drives", storage.count("fault"), unit="event", source=storage.describe("fault"))
    assert faults <= profile.limit("storage.faults")
    storage.require_undoubted()
    storage.require_complete()


@requirement(
    "MEMORY-HEALTHY",
    title="The kernel log holds no uncorrected memory error",
    why="A damaged page kills the program that reads it, or gives it wrong weights without a word.",
    remedy=(
        "Read the reports: sudo dmesg | grep -E 'EDAC|Memory failure|Hardware Error|mce:'",
        "Test the memory: make validate ONLY=MEMORY-PATTERN",
        "If it comes back after a restart, open a hardware case with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_holds_no_uncorrected_memory_error(log, profile, evidence):
    memory = log.about("memory")
    evidence.advise(*memory.remedy)
    evidence.record("events only recorded", memory.count("note"), unit="event", source=memory.describe("note"))
    edac = counters.read()
    evidence.record("corrected errors", edac.corrected, unit="error", source=edac.source)
    assert evidence.record("uncorrected errors", edac.uncorrected, unit="error", source=edac.source) == 0
    faults = evidence.record("faults of memory", memory.count("fault"), unit="event", source=memory.describe("fault"))
    assert faults <= profile.limit("memory.faults")
    memory.require_undoubted()
    memory.require_complete()


@requirement(
    "PCIE-HEALTHY",
    title="The kernel log holds no uncorrected error of PCIe",
    why="A bus that loses transfers slows the GPU, the network and the drives, and takes them away under load.",
    remedy=(
        "Find the device: sudo dmesg | grep -E 'AER|Bus Error|DPC|PCIe error'; then: lspci",
        "Update firmware and driver: sudo fwupdmgr update; sudo apt update && sudo apt full-upgrade",
        "If it comes back after a restart, open a hardware case with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_holds_no_uncorrected_pcie_error(log, profile, evidence):
    bus = log.about("PCIe")
    evidence.advise(*bus.remedy)
    evidence.record("events only recorded", bus.count("note"), unit="event", source=bus.describe("note"))
    faults = evidence.record("faults of PCIe", bus.count("fault"), unit="event", source=bus.describe("fault"))
    assert faults <= profile.limit("pcie.faults")
    bus.require_undoubted()
    bus.require_complete()


@requirement(
    "CPU-HEALTHY",
    title="The kernel log holds no machine check, lockup or crash",
    why="A kernel that hung or crashed once holds locks and memory for good, and the next training waits for them.",
    remedy=(
        "Read the reports: sudo dmesg | grep -E 'lockup|LOCKUP|stall|Oops|panic|Hardware Error|mce:'",
        "Update the system: sudo apt update && sudo apt full-upgrade",
        "If it comes back after a restart, open a hardware case with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_holds_no_fault_of_a_cpu_or_the_kernel(log, profile, evidence):
    cpu = log.about("CPU")
    evidence.advise(*cpu.remedy)
    evidence.record("events only recorded", cpu.count("note"), unit="event", source=cpu.describe("note"))
    faults = evidence.record("faults of CPUs", cpu.count("fault"), unit="event", source=cpu.describe("fault"))
    assert faults <= profile.limit("cpu.faults")
    cpu.require_known()
    cpu.require_undoubted()
    cpu.require_complete()


@requirement(
    "POWER-HEALTHY",
    title="The kernel log holds no fault of power or cooling",
    why="A power supply that gives too little switches the machine off under the first full load.",
    remedy=(
        "Read the reports: sudo dmesg | grep -iE 'voltage|current|power|temperature|thermal'",
        "Check that the power supply is the machine's own, and that air gets in and out.",
        "If it comes back after a restart, open a hardware case with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_kernel_log_holds_no_fault_of_power_or_cooling(log, profile, evidence):
    power = log.about("power")
    evidence.advise(*power.remedy)
    evidence.record("events only recorded", power.count("note"), unit="event", source=power.describe("note"))
    faults = evidence.record("faults of power", power.count("fault"), unit="event", source=power.describe("fault"))
    assert faults <= profile.limit("power.faults")
    power.require_undoubted()
    power.require_complete()


@requirement(
    "LAST-BOOT",
    title="What was kept of the boot before this one shows no crash",
    why="A machine that went down under load shows nothing in its new log, and goes down again in training.",
    remedy=(
        "Read its last messages: journalctl -b -1 -n 200",
        "Let the machine prove itself: make burn-in MINUTES=60",
        "If it goes down again, open a hardware case with the log and the run folder.",
    ),
    takes_s=1.5,
    stage="host",
)
def test_the_last_boot_did_not_end_in_a_crash(profile, computation, minutes, evidence):
    boot = last_boot.read()
    evidence.record("end of the last boot", boot.end, source=boot.source)
    evidence.record("faults in its last lines", len(boot.faults), unit="event", source=boot.description)
    boot.require_survived(computation, minutes, profile.limit("boot.burn_in").min)
    survived = evidence.record("no crash, or a burn-in since", True, source=boot.source)
    assert survived.holds()
