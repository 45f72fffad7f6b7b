"""Xids, the numbers of the NVIDIA driver's reports: what each says about the machine, and what is to be done.

Sorted by the actions that NVIDIA's own catalogue asks for ("Analyzing Xid Errors with the Xid Catalog",
docs.nvidia.com/deploy/xid-errors); a number that is not in the tables is unknown, never harmless.
"""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What an event says about the machine."""

    FAULT = "fault"
    APPLICATION = "application"
    """Something that a user's program does to itself."""
    NOTE = "note"
    """Recorded and no more: NVIDIA's catalogue says to ignore it, or it is not about computing on a GPU."""
    UNKNOWN = "unknown"


LOOK = "Read what was said around it: sudo dmesg | grep -E 'NVRM|Xid'"
AFTER = "Run this again after a restart (sudo reboot), with which the log starts anew: it must stay clean."
UNPLUG = "Shut down, unplug the power supply from the wall for a minute, start again."
CASE = "Comes it back: run sudo nvidia-bug-report.sh and open a hardware case with its file and the run folder."

REMEDIES: dict[str, tuple[str, ...]] = {
    "module": (
        "Look which module is loaded: cat /proc/driver/nvidia/version (it must say: Open Kernel Module)",
        "Install the open one: sudo apt install nvidia-driver-580-open, then sudo reboot",
        f"Is it open already: {UNPLUG[0].lower()}{UNPLUG[1:]}",
        CASE,
    ),
    "update": (
        "Look whether driver and firmware are of one update: fwupdmgr get-devices; apt list --upgradable",
        "Finish it as a whole, from the DGX Dashboard, or: sudo apt update && sudo apt full-upgrade; fwupdmgr update",
        f"{UNPLUG} A reboot alone leaves the GPU as it is.",
        CASE,
    ),
    "replace": (
        "Look at the rows of memory: nvidia-smi -q -d ROW_REMAPPER,ECC",
        "Take the GPU out of use: it has no spare memory left, and no reset gives it any.",
        "Open a hardware case: run sudo nvidia-bug-report.sh and send its file with the run folder.",
    ),
    "hardware": (
        "Read what was reported: sudo dmesg | grep -E 'Hardware Error|EDAC|Memory failure|mce:|BERT'",
        UNPLUG,
        AFTER,
        "Look at the memory meanwhile: dgxcert validate --only MEMORY-PATTERN",
        CASE,
    ),
    "power": (LOOK, "Shut down; see that the power cable of the GPU board is plugged in firmly.", AFTER, CASE),
    "bus": (
        "Read which device it was: sudo dmesg | grep -E 'AER|Bus Error|DPC|PCIe error'; then: lspci -s ADDRESS",
        "Update firmware and driver: fwupdmgr update; sudo apt update && sudo apt full-upgrade",
        "Shut down, unplug the power supply; see that the device and its cables sit firmly; start again.",
        AFTER,
        CASE,
    ),
    "restart": (
        LOOK,
        "Restart the machine: sudo reboot",
        f"Comes it back: {UNPLUG[0].lower()}{UNPLUG[1:]}",
        AFTER,
        CASE,
    ),
    "link": (
        "Look at the links: nvidia-smi nvlink --status; nvidia-smi nvlink --errorcounters",
        "Reset all GPUs together (sudo nvidia-smi --gpu-reset), or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "reset": (
        "Look at it: nvidia-smi -q -d ECC,ROW_REMAPPER; then end every program that uses the GPU.",
        "Reset it: sudo nvidia-smi --gpu-reset -i INDEX; or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "program": (
        "Read which program it was, and end it: sudo dmesg | grep 'NVRM: Xid'",
        "Reset the GPU (sudo nvidia-smi --gpu-reset -i INDEX), or restart the machine: sudo reboot",
        AFTER,
        CASE,
    ),
    "hang": (
        "Read where it hung: sudo dmesg | grep -A 40 -E 'soft lockup|LOCKUP|blocked for more than'",
        "Update the driver: sudo apt update && sudo apt full-upgrade; "
        "from 580.159.03 on it ends a program that takes all memory, where older ones freeze the machine.",
        AFTER,
        CASE,
    ),
}
"""What to do, worst first."""

ENGINES = "an engine for copying or video stopped at what a program gave it"
APPLICATIONS: dict[int, str] = {
    8: "a program's channel stood still",
    13: "an exception in a program's kernel",
    31: "a program used memory that is not its own",
    43: "a program's channel was stopped",
    45: "what was left of a program was cleaned up",
    69: "a program gave the GPU a wrong command",
    137: "a program used memory of another GPU that is not its own",
    141: "an error in a program's fast path",
    **dict.fromkeys((11, 25, 32, 80), "a program gave the GPU a corrupted stream of commands"),
    **dict.fromkeys((39, 40, 41, 60, 68, 70, 71, 72, 75, 76, 77, *range(82, 87), 88, 89), ENGINES),
    **dict.fromkeys((*range(96, 106), *range(126, 136), 139), ENGINES),
}
"""The catalogue asks to restart or check the application; 43, 45, 137 and 141 follow from what a program did."""

NOTES: dict[int, str] = {
    121: "an error of the link to the CPU that was corrected",
    93: "the GPU's own log is written often",
    **dict.fromkeys((14, 106, 107), "a message for testing"),
    **dict.fromkeys((37, 38, 44, 66, 67), "the driver caught an error of its own"),
    **dict.fromkeys((16, 19, 56, *range(111, 119)), "trouble with a screen"),
    **dict.fromkeys((162, 163, 164, 165), "power smoothing changed"),
}
"""The catalogue asks to ignore them, or for nothing; those of a screen say nothing about computing."""

FAULTS: dict[int, tuple[str, str]] = {
    46: ("restart", "the GPU stopped"),
    48: ("reset", "an uncorrectable error of memory"),
    54: ("power", "auxiliary power is not connected"),
    61: ("restart", "the GPU's power controller stopped at a breakpoint"),
    62: ("restart", "the GPU's power controller halted"),
    63: ("reset", "a row of memory failed and waits to be remapped"),
    64: ("replace", "a failed row of memory could not be remapped"),
    74: ("link", "an NVLink error"),
    79: ("restart", "the GPU has fallen off the bus"),
    92: ("reset", "many corrected errors of memory"),
    94: ("reset", "an uncorrectable error of memory, contained"),
    95: ("reset", "an uncorrectable error of memory, not contained"),
    109: ("program", "the GPU did not get away from a program"),
    110: ("restart", "a security fault"),
    119: ("restart", "the GPU's system processor does not answer"),
    120: ("restart", "an error of the GPU's system processor"),
    136: ("link", "an NVLink could not be trained"),
    140: ("reset", "an unrecovered error of memory"),
    143: ("restart", "the GPU could not be initialised"),
    155: ("link", "an NVLink error"),
    156: ("reset", "a part of the GPU failed and waits to be retired"),
    157: ("replace", "a failed part of the GPU could not be retired"),
    158: ("restart", "a fatal timeout of the GPU"),
    167: ("restart", "a fatal timeout on PCIe"),
    168: ("replace", "protected memory is damaged"),
    169: ("module", "the GPU's security processor halted"),
    171: ("reset", "an uncorrectable error of memory"),
    172: ("reset", "an uncorrectable error of on-chip memory"),
}
"""The row of REMEDIES, and words. The catalogue asks for a reset, a restart or support, for 109 too, whichever program
began it; 63, 92 and 94 count all the same, since a machine whose memory begins to fail is not ready for work."""

NVLINK5 = range(144, 151)

ACTION = re.compile(r"recovery action changed from \S+ \([^)]*\) to (0x\w+) \(([^)]*)\)")


def meaning(number: int, text: str) -> tuple[Kind, str, str]:
    """Kind, words and row of REMEDIES; two families say in their text how bad they are."""
    if number in NVLINK5 and re.search(r"\bnon-?fatal\b", text, re.IGNORECASE):
        return Kind.NOTE, "an NVLink error that is not fatal", ""
    if number in NVLINK5 and re.search(r"\bfatal\b", text, re.IGNORECASE):
        return Kind.FAULT, "a fatal NVLink error", "link"
    if number == 154:
        code, action = found.groups() if (found := ACTION.search(text)) else ("", "an action that it does not name")
        if code and int(code, 16) == 0:
            return Kind.NOTE, "the GPU needs no recovery any more", ""
        return Kind.FAULT, f"the GPU asks for: {action}", "restart" if "Reboot" in action else "reset"
    if number in FAULTS:
        remedy, words = FAULTS[number]
        return Kind.FAULT, words, remedy
    if number in APPLICATIONS:
        return Kind.APPLICATION, APPLICATIONS[number], ""
    return (Kind.NOTE, NOTES[number], "") if number in NOTES else (Kind.UNKNOWN, "", "")
