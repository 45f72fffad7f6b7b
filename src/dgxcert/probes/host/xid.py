"""Xids, the error numbers of the NVIDIA driver: what each means for the machine, and what to do about it.

Sorted by the actions that NVIDIA's own catalogue asks for ("Analyzing Xid Errors with the Xid Catalog",
docs.nvidia.com/deploy/xid-errors); a number that is not in the tables is unknown, never harmless.
"""

import re
from enum import StrEnum

from dgxcert.machine.trait import Trait


class Kind(StrEnum):
    """What an event means for the machine."""

    FAULT = "fault"
    APPLICATION = "application"
    """An error of a user's program, which harms only itself."""
    NOTE = "note"
    """Only recorded: NVIDIA's catalogue says to ignore it, or it does not concern computing on a GPU."""
    SUSPICIOUS = "suspicious"
    """A fault or its harmless likeness: the log does not say which."""
    UNKNOWN = "unknown"
    QUIET = "quiet"
    """No event: healthy machines say it too."""


LOOK = "Read the lines around it: sudo dmesg | grep -E 'NVRM|Xid'"
AFTER = "Run this again after a restart (sudo reboot): the log of the new boot must stay clean."
UNPLUG = Trait.PHYSICAL.only("Shut down, unplug the power supply from the wall for a minute, then start again.")
CASE = "If it comes back: run sudo nvidia-bug-report.sh and open a hardware case with its file and the run folder."

REMEDIES: dict[str, tuple[str, ...]] = {
    "module": (
        "Check which module is loaded: cat /proc/driver/nvidia/version (it must be: Open Kernel Module)",
        "Install the open one: sudo apt install nvidia-driver-580-open, then sudo reboot",
        UNPLUG,
        CASE,
    ),
    "update": (
        "Check whether driver and firmware are of one update: fwupdmgr get-devices; apt list --upgradable",
        "Finish it as a whole, from the DGX Dashboard, or: sudo apt update && sudo apt full-upgrade; sudo fwupdmgr "
        "update",
        UNPLUG,
        CASE,
    ),
    "replace": (
        "Read the state of the memory rows: nvidia-smi -q -d ROW_REMAPPER,ECC",
        "Take the GPU out of use: it has no spare memory rows left, and a reset does not restore them.",
        "Open a hardware case: run sudo nvidia-bug-report.sh and send its file with the run folder.",
    ),
    "hardware": (
        "Read the reports: sudo dmesg | grep -E 'Hardware Error|EDAC|Memory failure|mce:|BERT'",
        UNPLUG,
        AFTER,
        "Test the memory meanwhile: make validate ONLY=MEMORY-PATTERN",
        CASE,
    ),
    "power": (
        LOOK,
        Trait.CARD.only("Shut down and check that the power cable of the card is plugged in firmly."),
        Trait.SPARK.only("Use its own power supply on an outlet of its own: nothing else gives it enough."),
        AFTER,
        CASE,
    ),
    "supply": (
        "Read the reports: sudo dmesg | grep -iE 'voltage|current|power|temperature|thermal'",
        Trait.SPARK.only("Use its own power supply on an outlet of its own: nothing else gives it enough."),
        "Check that nothing covers the openings for air and that every power supply is plugged in firmly.",
        AFTER,
        CASE,
    ),
    "storage": (
        "Find the drive: sudo dmesg | grep -E 'nvme|EXT4-fs|XFS|error, dev'; lsblk -o NAME,MODEL,SERIAL,MOUNTPOINTS",
        "Save what is on it elsewhere before anything else.",
        "Read its health: sudo nvme smart-log /dev/nvme0 (sudo apt install nvme-cli)",
        AFTER,
        "If it comes back: open a hardware case for the drive with the log and the run folder.",
    ),
    "bus": (
        "Find the device: sudo dmesg | grep -E 'AER|Bus Error|DPC|PCIe error'; then: lspci -s ADDRESS",
        "Update firmware and driver: sudo fwupdmgr update; sudo apt update && sudo apt full-upgrade",
        Trait.CARD.only("Shut down, unplug the power supply, check that the card sits firmly, then start again."),
        UNPLUG,
        AFTER,
        CASE,
    ),
    "restart": (
        LOOK,
        "Restart the machine: sudo reboot",
        UNPLUG,
        AFTER,
        CASE,
    ),
    "link": (
        "Read the state of the NVLinks: nvidia-smi nvlink --status; nvidia-smi nvlink --errorcounters",
        "Reset all GPUs together (sudo nvidia-smi --gpu-reset), or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "imex": (
        "Read which machines of the NVLink domain are connected: nvidia-imex-ctl -N",
        "Restart the service on every machine of the domain: sudo systemctl restart nvidia-imex",
        AFTER,
        CASE,
    ),
    "reset": (
        "Read its state: nvidia-smi -q -d ECC,ROW_REMAPPER; then end every program that uses the GPU.",
        "Reset it: sudo nvidia-smi --gpu-reset -i INDEX; or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "program": (
        "Find the program and end it: sudo dmesg | grep 'NVRM: Xid'",
        "Reset the GPU (sudo nvidia-smi --gpu-reset -i INDEX), or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "hang": (
        "Read where it hung: sudo dmesg | grep -A 40 -E 'soft lockup|LOCKUP|blocked for more than'",
        "Update the driver: sudo apt update && sudo apt full-upgrade; "
        "from 580.159.03 on, a program that takes all memory is killed, where older drivers freeze the machine.",
        AFTER,
        CASE,
    ),
}
"""What to do, worst first."""

ENGINES = "an exception in a copy or video engine, caused by a program"
APPLICATIONS: dict[int, str] = {
    8: "a program's channel stopped processing",
    13: "an exception in a program's kernel",
    31: "a GPU memory page fault of a program",
    43: "a program's channel was stopped",
    45: "cleanup of a program after an earlier error",
    69: "an invalid command of a program",
    137: "an invalid access of a program to the memory of another GPU over NVLink",
    141: "a fast path error of a program",
    **dict.fromkeys((11, 25, 32, 80), "a corrupted push buffer of a program"),
    **dict.fromkeys((39, 40, 41, 60, 68, 70, 71, 72, 75, 76, 77, *range(82, 87), 88, 89), ENGINES),
    **dict.fromkeys((*range(96, 106), *range(126, 136), 139), ENGINES),
}
"""The catalogue asks to restart or check the application; 43, 45, 137 and 141 follow from what a program did."""

NOTES: dict[int, str] = {
    121: "a corrected error of the link between CPU and GPU (C2C)",
    93: "frequent writes to the InfoROM",
    **dict.fromkeys((14, 106, 107), "a test message"),
    **dict.fromkeys((37, 38, 44, 66, 67), "an error that the driver handled"),
    **dict.fromkeys((16, 19, 56, *range(111, 119)), "a display error"),
    **dict.fromkeys((162, 163, 164, 165), "a change of power smoothing"),
}
"""The catalogue asks to ignore them or for no action; display errors do not concern computing."""

FAULTS: dict[int, tuple[str, str]] = {
    46: ("restart", "the GPU stopped processing"),
    48: ("reset", "a double-bit ECC error"),
    54: ("power", "auxiliary power is not connected"),
    61: ("restart", "the GPU's power management controller hit a breakpoint"),
    62: ("restart", "the GPU's power management controller halted"),
    63: ("reset", "a memory row failed and its remapping is pending"),
    64: ("replace", "a failed memory row could not be remapped"),
    74: ("link", "an NVLink error"),
    79: ("restart", "the GPU has fallen off the bus"),
    92: ("reset", "a high rate of single-bit ECC errors"),
    94: ("reset", "a contained ECC error"),
    95: ("reset", "an uncontained ECC error"),
    109: ("program", "a context switch timeout"),
    110: ("restart", "a security fault"),
    119: ("restart", "a timeout of the GPU System Processor (GSP)"),
    120: ("restart", "an error of the GPU System Processor (GSP)"),
    136: ("link", "NVLink training failed"),
    140: ("reset", "an unrecovered ECC error"),
    143: ("restart", "the GPU could not be initialised"),
    155: ("link", "an NVLink error"),
    156: ("reset", "a part of the GPU failed and its retirement is pending"),
    157: ("replace", "a failed part of the GPU could not be retired"),
    158: ("restart", "a fatal timeout of the GPU"),
    167: ("restart", "a fatal timeout on PCIe"),
    168: ("replace", "an error in the write-protected region of memory (WPR)"),
    169: ("module", "the GPU's security processor halted"),
    171: ("reset", "an uncorrectable DRAM error"),
    172: ("reset", "an uncorrectable SRAM error"),
    173: ("restart", "the link between CPU and GPU (C2C) failed"),
    175: ("restart", "the GPU's memory subsystem stopped"),
}
"""The row of REMEDIES, and the meaning. The catalogue asks for a reset, a restart or support; for 109 too, whichever
program caused it. 63, 92 and 94 count as faults, since a machine whose memory begins to fail is not ready for work."""

NVLINK5 = range(144, 151)

ACTION = re.compile(r"recovery action changed from \S+ \([^)]*\) to (0x\w+) \(([^)]*)\)")


def _row_of(action: str) -> str:
    """The row of REMEDIES of a recovery action, by the names of `_gpuRecoveryActionName` in the driver's gpu.c."""
    rows = {"Reboot": "restart", "P2P": "link", "IMEX": "imex"}
    return next((row for word, row in rows.items() if word in action), "reset")


def meaning(number: int, text: str) -> tuple[Kind, str, str]:
    """Kind, meaning and row of REMEDIES of an Xid with its text.

    >>> meaning(79, "GPU has fallen off the bus.")
    (<Kind.FAULT: 'fault'>, 'the GPU has fallen off the bus', 'restart')
    >>> meaning(154, "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)")
    (<Kind.FAULT: 'fault'>, 'the GPU asks for: Node Reboot Required', 'restart')
    """
    # NVLink 5 errors and recovery actions state their severity in the text.
    if number in NVLINK5 and re.search(r"\bnon-?fatal\b", text, re.IGNORECASE):
        return Kind.NOTE, "a non-fatal NVLink error", ""
    if number in NVLINK5 and re.search(r"\bfatal\b", text, re.IGNORECASE):
        return Kind.FAULT, "a fatal NVLink error", "link"
    if number == 154:
        code, action = match.groups() if (match := ACTION.search(text)) else ("", "an unnamed action")
        if code and int(code, 16) == 0:
            return Kind.NOTE, "the GPU no longer needs recovery", ""
        return Kind.FAULT, f"the GPU asks for: {action}", _row_of(action)
    if number in FAULTS:
        remedy, fault = FAULTS[number]
        return Kind.FAULT, fault, remedy
    if number in APPLICATIONS:
        return Kind.APPLICATION, APPLICATIONS[number], ""
    return (Kind.NOTE, NOTES[number], "") if number in NOTES else (Kind.UNKNOWN, "", "")
